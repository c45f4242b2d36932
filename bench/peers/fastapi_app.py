"""Peer: FastAPI, the SQLAlchemy ORM and a dual write (database, then Kafka), as tutorials show it."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from aiokafka import AIOKafkaProducer
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from svix.webhooks import Webhook, WebhookVerificationError

engine = create_async_engine(os.environ["DATABASE_URL"].replace("://", "+asyncpg://", 1), pool_size=20)
sessions = async_sessionmaker(engine, expire_on_commit=False)
webhook = Webhook(os.environ["CLERK_WEBHOOK_SECRET"])
jwt_key, issuer = os.environ["CLERK_JWT_KEY"], os.environ["CLERK_ISSUER"]
topic = os.environ["TOPIC"]


class Base(DeclarativeBase):
    type_annotation_map = {datetime: TIMESTAMP(timezone=True), list[Any]: JSONB, dict[str, Any]: JSONB}  # noqa: RUF012


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str | None]
    email_verified: Mapped[bool]
    emails: Mapped[list[Any]]
    phone: Mapped[str | None]
    username: Mapped[str | None]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    image_url: Mapped[str | None]
    external_id: Mapped[str | None]
    public_metadata: Mapped[dict[str, Any]]
    banned: Mapped[bool]
    locked: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.producer = AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all")
    await app.state.producer.start()
    yield
    await app.state.producer.stop()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]


@app.post("/webhooks/clerk")
async def receive(request: Request, database: Session) -> dict[str, str]:
    body = await request.body()
    try:
        webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        raise HTTPException(400) from None
    event = json.loads(body)
    fields = read(event["data"])
    user = await database.get(User, fields["id"])
    if user is None:
        database.add(User(**fields))
    elif user.updated_at < fields["updated_at"]:
        for name, value in fields.items():
            setattr(user, name, value)
    await database.commit()
    message = json.dumps({"type": event["type"], "user": fields}, default=datetime.isoformat)
    await app.state.producer.send_and_wait(topic, message.encode(), key=fields["id"].encode())
    return {"outcome": "ok"}


@app.get("/v1/me")
async def me(database: Session, authorization: Annotated[str, Header()]) -> dict[str, Any]:
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), jwt_key, algorithms=["RS256"], issuer=issuer)
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    user = await database.get(User, claims["sub"])
    if user is None:
        raise HTTPException(404)
    return {column.key: getattr(user, column.key) for column in User.__table__.columns}


def read(data: dict[str, Any]) -> dict[str, Any]:
    emails = data["email_addresses"]
    primary = next((entry for entry in emails if entry["id"] == data["primary_email_address_id"]), None)
    phone = next((p for p in data["phone_numbers"] if p["id"] == data["primary_phone_number_id"]), None)
    return {
        "id": data["id"],
        "email": primary and primary["email_address"],
        "email_verified": bool(primary and primary["verification"]["status"] == "verified"),
        "emails": [{"id": e["id"], "email": e["email_address"], "status": e["verification"]["status"]} for e in emails],
        "phone": phone and phone["phone_number"],
        "username": data["username"],
        "first_name": data["first_name"],
        "last_name": data["last_name"],
        "image_url": data["image_url"],
        "external_id": data["external_id"],
        "public_metadata": data["public_metadata"],
        "banned": data["banned"],
        "locked": data["locked"],
        "created_at": datetime.fromtimestamp(data["created_at"] / 1000, UTC),
        "updated_at": datetime.fromtimestamp(data["updated_at"] / 1000, UTC),
    }
