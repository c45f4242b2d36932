// Reads Kafka records from stdin, as JSON, with CloudEvents' own SDK, and prints the events that it finds in them.
import { readFileSync } from 'node:fs'
import { Kafka } from 'cloudevents'

const records = JSON.parse(readFileSync(0, 'utf8'))
const events = records.map(({ key, headers, value }) => {
  const record = { key, headers, value, body: value, timestamp: '0' }
  if (!Kafka.isEvent(record)) throw new Error('not an event')
  const event = Kafka.toEvent(record)
  if (!event.validate()) throw new Error('not valid')
  return event
})
console.log(JSON.stringify(events))
