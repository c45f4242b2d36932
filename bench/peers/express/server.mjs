// Peer: Express, Prisma and a dual write (database, then Kafka), as tutorials show it.
import { verifyToken } from '@clerk/backend'
import { clerkMiddleware, getAuth } from '@clerk/express'
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '@prisma/client'
import express from 'express'
import { Kafka, logLevel } from 'kafkajs'
import { Webhook } from 'svix'

const { CLERK_JWT_KEY, CLERK_WEBHOOK_SECRET, DATABASE_URL, KAFKA_BOOTSTRAP_SERVERS, PORT, TOPIC } = process.env

const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: DATABASE_URL, max: 20 }) })
const kafka = new Kafka({ brokers: KAFKA_BOOTSTRAP_SERVERS.split(','), logLevel: logLevel.ERROR })
const producer = kafka.producer()
const webhook = new Webhook(CLERK_WEBHOOK_SECRET)
const app = express()

app.post('/webhooks/clerk', express.raw({ type: 'application/json', limit: '1mb' }), async (request, response) => {
  try {
    webhook.verify(request.body, request.headers)
  } catch {
    return response.status(400).json({ error: 'signature' })
  }
  const event = JSON.parse(request.body)
  const user = read(event.data)
  await prisma.user.upsert({ where: { id: user.id }, create: user, update: user })
  const value = JSON.stringify({ type: event.type, user })
  await producer.send({ topic: TOPIC, acks: -1, messages: [{ key: user.id, value }] })
  response.json({ outcome: 'ok' })
})

app.get('/v1/me', async (request, response) => {
  let claims
  try {
    claims = await verifyToken((request.headers.authorization ?? '').slice(7), { jwtKey: CLERK_JWT_KEY })
  } catch {
    return response.status(401).json({ error: 'token' })
  }
  const user = await prisma.user.findUnique({ where: { id: claims.sub } })
  return user ? response.json(user) : response.status(404).json({ error: 'unknown' })
})

// The same as Clerk's guide for Express has it: its middleware, and the same key at hand.
app.get('/v1/me-guide', clerkMiddleware({ jwtKey: CLERK_JWT_KEY }), async (request, response) => {
  const { isAuthenticated, userId } = getAuth(request)
  if (!isAuthenticated) return response.status(401).json({ error: 'token' })
  const user = await prisma.user.findUnique({ where: { id: userId } })
  return user ? response.json(user) : response.status(404).json({ error: 'unknown' })
})

function read(data) {
  const primary = data.email_addresses.find((entry) => entry.id === data.primary_email_address_id)
  const phone = data.phone_numbers.find((entry) => entry.id === data.primary_phone_number_id)
  return {
    id: data.id,
    email: primary?.email_address ?? null,
    emailVerified: primary?.verification?.status === 'verified',
    emails: data.email_addresses.map((e) => ({ id: e.id, email: e.email_address, status: e.verification?.status })),
    phone: phone?.phone_number ?? null,
    username: data.username,
    firstName: data.first_name,
    lastName: data.last_name,
    imageUrl: data.image_url,
    externalId: data.external_id,
    publicMetadata: data.public_metadata,
    banned: data.banned,
    locked: data.locked,
    createdAt: new Date(data.created_at),
    updatedAt: new Date(data.updated_at)
  }
}

await prisma.$connect()
await producer.connect()
const server = app.listen(Number(PORT), '127.0.0.1')

process.on('SIGTERM', async () => {
  server.close()
  server.closeAllConnections()
  await producer.disconnect()
  await prisma.$disconnect()
  process.exit(0)
})
