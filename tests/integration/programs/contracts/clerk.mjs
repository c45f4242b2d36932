// Asks the stand-in for Clerk as a service in Node does, with Clerk's own SDK: CLERK_API_URL, CLERK_SECRET_KEY.
import assert from 'node:assert/strict'
import { createClerkClient, verifyToken } from '@clerk/backend'

const { CLERK_API_URL: apiUrl, CLERK_SECRET_KEY: secretKey } = process.env
const clerk = createClerkClient({ apiUrl, secretKey, telemetry: { disabled: true } })

const ada = await clerk.users.createUser({ emailAddress: ['ada@example.org'], firstName: 'Ada', skipPasswordRequirement: true })
assert.equal(ada.primaryEmailAddress.emailAddress, 'ada@example.org')
assert.equal((await clerk.users.getUser(ada.id)).firstName, 'Ada')
const renamed = await clerk.users.updateUser(ada.id, { firstName: 'Augusta' })
assert.equal(renamed.firstName, 'Augusta')
const plan = await clerk.users.updateUserMetadata(ada.id, { publicMetadata: { plan: 'pro' } })
assert.deepEqual(plan.publicMetadata, { plan: 'pro' })
const listed = await clerk.users.getUserList({ emailAddress: ['ada@example.org'] })
assert.deepEqual([listed.totalCount, listed.data[0].id], [1, ada.id])
assert.equal((await clerk.users.banUser(ada.id)).banned, true)
assert.equal((await clerk.users.unbanUser(ada.id)).banned, false)
assert.equal((await clerk.users.lockUser(ada.id)).locked, true)
assert.equal((await clerk.users.unlockUser(ada.id)).locked, false)

const session = await clerk.sessions.createSession({ userId: ada.id })
const { jwt } = await clerk.sessions.getToken(session.id)
// The keys are fetched from the stand-in's JWKS.
const claims = await verifyToken(jwt, { apiUrl, secretKey })
assert.deepEqual([claims.sub, claims.sid], [ada.id, session.id])
assert.equal((await clerk.sessions.revokeSession(session.id)).status, 'revoked')
assert.equal((await clerk.sessions.getSessionList({ userId: ada.id, status: 'active' })).totalCount, 0)

await clerk.users.deleteUser(ada.id)
await assert.rejects(clerk.users.getUser(ada.id), (error) => error.status === 404)
console.log('ok')
