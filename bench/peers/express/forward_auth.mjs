// Peer: Clerk's middleware for Express as a forward-auth endpoint.
import { clerkMiddleware, getAuth } from '@clerk/express'
import express from 'express'

const { CLERK_JWT_KEY, PORT } = process.env
const app = express()

app.all('/verify', clerkMiddleware({ jwtKey: CLERK_JWT_KEY }), (request, response) => {
  const { isAuthenticated, userId, sessionId, orgId, orgRole, actor } = getAuth(request)
  if (!isAuthenticated) return response.status(401).end()
  response.set({
    'X-Auth-User-Id': userId,
    'X-Auth-Session-Id': sessionId,
    'X-Auth-Org-Id': orgId ?? '',
    'X-Auth-Org-Role': orgRole ?? '',
    'X-Auth-Actor-Id': actor?.sub ?? ''
  })
  response.end()
})

const server = app.listen(Number(PORT), '127.0.0.1')

process.on('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
