"""`auth-service relay`."""

from dependency_injector.providers import Callable, Dependency, Factory, Object, Provider, Singleton

from adapters.kafka.broker import RelayBroker
from adapters.kafka.client_tasks import is_leftover
from adapters.kafka.cloudevents import SESSION_TYPES, USER_TYPES
from adapters.kafka.publisher import KafkaPublisher
from adapters.kafka.state_publisher import KafkaStatePublisher
from adapters.postgres.engine import create_engine
from adapters.postgres.lane_leases import PostgresLaneLeases
from adapters.postgres.notifier import NotificationListener
from adapters.postgres.outbox import INDEX_PLANS, PostgresOutbox
from adapters.postgres.session_store import PostgresSessionCleaner
from adapters.postgres.state_lanes import PostgresStateLanes
from anomalyze_auth.kafka import KafkaConnection
from application.relay.lanes import session_lane
from application.relay.ports import LaneLeases, Outbox, Publisher, StateLanes
from application.relay.relay_events import RelayEvents
from application.relay.relay_state import RelayEventsAndState
from application.sessions.forget_sessions import ForgetSessions
from entrypoints.composition.postgres import PostgresContainer
from entrypoints.config.settings import KafkaSettings
from entrypoints.observability.tracing import Tracing
from entrypoints.relay.timed import TimedOutbox, TimedPublisher


class RelayContainer(PostgresContainer):
    kafka: Dependency[KafkaSettings] = Dependency(instance_of=KafkaSettings)
    traced: Dependency[Tracing] = Dependency(default=Tracing())

    # PostgreSQL
    relay_engine = Singleton(
        create_engine,
        PostgresContainer.database_url,
        pool_size=3,
        application_name="auth-service-relay",
        settings=INDEX_PLANS,
        tells_losses=True,  # rounds then forget what they published, and whose lanes they claimed
    )
    outbox: Provider[Outbox] = Singleton(TimedOutbox, Singleton(PostgresOutbox, relay_engine))
    lane_leases: Provider[LaneLeases] = Singleton(PostgresLaneLeases, relay_engine)
    state_lanes: Provider[StateLanes] = Singleton(PostgresStateLanes, relay_engine)
    notification_listener = Factory(NotificationListener, PostgresContainer.database_url)
    """Takes what is called for each notification."""

    # Kafka
    is_leftover = Object(is_leftover)  # what the event loop need not complain of
    kafka_security = Singleton(KafkaConnection.security, kafka.provided.connection)
    topics = Callable(dict.fromkeys, USER_TYPES, kafka.provided.kafka_user_events_topic)
    session_topics = Callable(dict.fromkeys, SESSION_TYPES, kafka.provided.kafka_session_events_topic)
    """The topic of each type of event."""
    broker = Singleton(RelayBroker, kafka.provided.addresses, kafka_security)
    session_broker = Singleton(RelayBroker, kafka.provided.addresses, kafka_security)
    """A producer of its own: a failure that ends one leaves the other as it is."""
    publisher: Provider[Publisher] = traced.provided.publisher.call(
        Singleton(TimedPublisher, Singleton(KafkaPublisher, broker, topics=topics)), topics
    )
    session_publisher: Provider[Publisher] = traced.provided.publisher.call(
        Singleton(TimedPublisher, Singleton(KafkaPublisher, session_broker, topics=session_topics)), session_topics
    )
    state_publisher = Singleton(
        KafkaStatePublisher, kafka.provided.addresses, kafka.provided.kafka_user_state_topic, kafka_security
    )

    # Use cases
    relay_events = Factory(RelayEvents, outbox=outbox, publisher=publisher)
    relay_events_and_state = Factory(
        RelayEventsAndState, outbox=outbox, publisher=publisher, state=state_publisher, lanes=state_lanes
    )
    """Takes the relay's name."""
    relay_sessions = Factory(
        RelayEvents,
        outbox=Singleton(TimedOutbox, Singleton(PostgresOutbox, relay_engine)),
        publisher=session_publisher,
        waiting_in=Object(session_lane),
    )
    forget_sessions = Factory(ForgetSessions, Singleton(PostgresSessionCleaner, PostgresContainer.engine))
