/**
 * Places in Redis, taken by one script on the server, by the server's clock.
 *
 * An account has three keys, which a cluster keeps together: `flight` (requests that are out, by the time they took their
 * place), `rest` (requests that were answered, by that time, and others by the time at which they must have been counted)
 * and `state` (a hash: until when the account pauses, the limit, and of each process what it has seen of its way).
 */
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import * as RateLimitStore from "../RateLimitStore.ts"
import type { Quota, Store, Taken, Taker } from "../RateLimitStore.ts"
import { CAUTION, DROP, ENOUGH, LEAST_CAUTION, PRIOR, SLACK, SLOT_MILLIS, WORTH } from "./roundTrip.ts"
import { GUARD, PATIENCE } from "./slidingWindow.ts"

const BEGIN = `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local flight, rest, state = KEYS[1], KEYS[2], KEYS[3]
local function text(millis) return string.format("%.3f", millis) end
local function keep(millis)
  millis = math.ceil(millis)
  for _, key in ipairs(KEYS) do
    if redis.call("PTTL", key) < millis then redis.call("PEXPIRE", key, millis) end
  end
end
`

/** Notes what a process has seen. */
const NOTE = `
local function note(id, shortest, mean, observations, age, isNew)
  if tonumber(observations) == 0 then return end
  local since = text(now - tonumber(age))
  redis.call("HSET", state, "way:" .. id, table.concat({ shortest, mean, observations, since, isNew, text(now) }, " "))
  keep(31000)
end
`

/**
 * What the way of a process takes at least: by its own observations, or by those of all whose way is not clearly longer
 * than its own. The formula is that of `boundOf`.
 */
const WAYS = `
local ways = {}
local fields = redis.call("HGETALL", state)
for n = 1, #fields, 2 do
  if string.sub(fields[n], 1, 4) == "way:" then
    local shortest, mean, observations, since, isNew, seen =
      string.match(fields[n + 1], "^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$")
    if tonumber(seen) + 30000 < now then
      redis.call("HDEL", state, fields[n])
    else
      ways[string.sub(fields[n], 5)] = {
        shortest = tonumber(shortest),
        mean = tonumber(mean),
        observations = tonumber(observations),
        since = tonumber(since),
        isNew = isNew == "1"
      }
    end
  end
end
local function boundOf(shortest, mean, observations)
  if observations < ${ENOUGH} or shortest < ${WORTH} then return 0 end
  local spread = ((mean - shortest) * observations + ${2 * PRIOR} * shortest) / (observations + 2)
  local margin = spread * math.max(${CAUTION} / math.sqrt(observations - ${ENOUGH - 1}), ${LEAST_CAUTION})
  return math.max(0, shortest - margin - ${SLACK})
end
local bounds = {}
local function bound(id)
  local own = id and ways[id]
  if not own then return 0 end
  if bounds[id] then return bounds[id] end
  local shortest, sum, observations, since = own.shortest, own.mean * own.observations, own.observations, own.since
  for other, way in pairs(ways) do
    if other ~= id and not way.isNew and way.shortest * ${DROP} <= own.shortest then
      shortest = math.min(shortest, way.shortest)
      sum = sum + way.mean * way.observations
      observations = observations + way.observations
      since = math.min(since, way.since)
    end
  end
  -- What several see at the same time is one observation.
  local distinct = math.min(observations, math.floor((now - since) / ${SLOT_MILLIS}) + 1)
  bounds[id] = math.max(
    boundOf(own.shortest, own.mean, own.observations),
    boundOf(shortest, sum / observations, distinct)
  )
  return bounds[id]
end
local function owner(place) return string.match(place, "^([^:]*):") end
`

/** Put before the name of a place whose request was not answered: it has no owner, and nothing is taken off its time. */
const UNANSWERED = ":"

/**
 * Gives how many places were taken, the milliseconds to wait when none was (less than 0 when the account pauses), and the
 * bound of the taker.
 */
const TAKE = `${BEGIN}${NOTE}
local limit, window, patience, guard = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
note(ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10])
${WAYS}
local paused = tonumber(redis.call("HGET", state, "pausedUntil") or "0")
if paused > now then return { "0", text(now - paused), "0" } end
-- Those that were never heard of again count from the time at which they must have arrived.
local last
for _, lost in ipairs(redis.call("ZRANGEBYSCORE", flight, "-inf", text(now - patience), "WITHSCORES")) do
  if last then
    redis.call("ZREM", flight, last)
    redis.call("ZADD", rest, text(tonumber(lost) + patience), "${UNANSWERED}" .. last)
    last = nil
  else
    last = lost
  end
end
local longest = math.max(window, tonumber(redis.call("HGET", state, "window") or "0"))
redis.call("HSET", state, "window", text(longest))
redis.call("ZREMRANGEBYSCORE", rest, "-inf", text(now - longest - guard))
-- Those before \`since\` are free. Those after \`surely\` are not, whoever has them. In between, it depends on the owner.
local mine = bound(ARGV[5])
local since = now - window - guard
local surely = text(since + mine)
local function releases(entries)
  local times = {}
  for n = 1, #entries, 2 do
    times[#times + 1] = tonumber(entries[n + 1]) - math.min(mine, bound(owner(entries[n]))) + window + guard
  end
  return times
end
local held = redis.call("ZCARD", flight) + redis.call("ZCOUNT", rest, "(" .. surely, "+inf")
local times = {}
for _, time in ipairs(releases(redis.call("ZRANGEBYSCORE", rest, "(" .. text(since), surely, "WITHSCORES"))) do
  if time > now then times[#times + 1] = time end
end
held = held + #times
if held < limit then
  local count = math.min(limit - held, #ARGV - 10)
  for n = 1, count do redis.call("ZADD", flight, text(now), ARGV[10 + n]) end
  keep(patience + longest + 1000)
  return { tostring(count), "0", text(mine) }
end
local nth = held - limit + 1
for _, time in ipairs(releases(redis.call("ZRANGEBYSCORE", rest, "(" .. surely, "+inf", "WITHSCORES", "LIMIT", 0, nth))) do
  times[#times + 1] = time
end
table.sort(times)
local wait = times[nth] and times[nth] - now
-- An answer that is still out frees its place at least a window after it was sent.
local first = redis.call("ZRANGE", flight, 0, 0, "WITHSCORES")
if first[2] then
  local earliest = math.max(tonumber(first[2]) + window + guard - now, 25)
  wait = math.min(wait or earliest, earliest)
end
return { "0", text(math.max(wait or 25, 1)), text(mine) }
`

const SETTLE = `${BEGIN}${NOTE}
local place, ago = ARGV[1], tonumber(ARGV[2])
local name = place
if ARGV[3] then note(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]) else name = "${UNANSWERED}" .. place end
if redis.call("ZREM", flight, place) == 1 then
  redis.call("ZADD", rest, text(now - ago), name)
  keep(tonumber(redis.call("HGET", state, "window") or "1000") - ago + 1000)
end
return "0"
`

const PAUSE = `${BEGIN}
local millis, limit, window, guard = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local from = now + millis
if tonumber(redis.call("HGET", state, "pausedUntil") or "0") >= from then return "0" end
redis.call("HSET", state, "pausedUntil", text(from))
redis.call("ZREMRANGEBYSCORE", rest, text(now + 60000 * 60), "+inf")
local held = redis.call("ZCARD", flight) + redis.call("ZCOUNT", rest, "(" .. text(from - window - guard), "+inf")
for n = 1, math.min(limit, 1000) - 1 - held do
  redis.call("ZADD", rest, text(from - window - guard + n * window / limit), "pace" .. n)
end
keep(millis + window + 1000)
return "0"
`

const RECALL = `${BEGIN}
if tonumber(redis.call("HGET", state, "limitUntil") or "0") <= now then return "" end
return redis.call("HGET", state, "limit") or ""
`

const REMEMBER = `${BEGIN}
redis.call("HSET", state, "limit", ARGV[1], "limitUntil", text(now + tonumber(ARGV[2])))
keep(tonumber(ARGV[2]))
return "0"
`

const script = <A = string>(lua: string) =>
  Redis.script(
    (keys: ReadonlyArray<string>, args: ReadonlyArray<string | number>) => [...keys, ...args],
    { lua, numberOfKeys: 3 }
  ).withReturnType<A>()

const scripts = {
  take: script<readonly [count: string, wait: string, bound: string]>(TAKE),
  settle: script(SETTLE),
  pause: script(PAUSE),
  recall: script(RECALL),
  remember: script(REMEMBER)
}

const said = ({ id, way }: Taker): ReadonlyArray<string | number> => [
  id,
  Number.isFinite(way.shortest) ? way.shortest.toFixed(3) : 0,
  Number.isFinite(way.mean) ? way.mean.toFixed(3) : 0,
  way.observations,
  way.age.toFixed(3),
  way.isNew ? 1 : 0
]

export const make = Effect.fnUntraced(function*(
  prefix: string,
  whenAway: Store["whenAway"]
): Effect.fn.Return<Store, never, Redis.Redis> {
  const redis = yield* Redis.Redis
  const run = {
    take: redis.eval(scripts.take),
    settle: redis.eval(scripts.settle),
    pause: redis.eval(scripts.pause),
    recall: redis.eval(scripts.recall),
    remember: redis.eval(scripts.remember)
  }
  const keys = (account: string) => ["flight", "rest", "state"].map((name) => `${prefix}:{${account}}:${name}`)
  return RateLimitStore.make({
    take: (account, places, { limit, window }: Quota, taker: Taker) =>
      Effect.map(
        run.take(keys(account), [limit, window, PATIENCE, GUARD, ...said(taker), ...places]),
        (answer): Taken => {
          const [count, wait, bound] = [Number(answer[0]), Number(answer[1]), Number(answer[2])]
          return count > 0
            ? { _tag: "Taken", count, bound }
            : wait > 0
            ? { _tag: "Full", wait, bound }
            : { _tag: "Paused", wait: -wait }
        }
      ),
    settle: (account, place, ago, taker) =>
      run.settle(keys(account), [place, ago.toFixed(3), ...(taker === undefined ? [] : said(taker))]),
    giveBack: (account, places) => redis.send("ZREM", keys(account)[0]!, ...places),
    pause: (account, millis, { limit, window }) => run.pause(keys(account), [millis, limit, window, GUARD]),
    recall: (account) => Effect.map(run.recall(keys(account), []), (limit) => limit === "" ? undefined : Number(limit)),
    remember: (account, limit, millis) => run.remember(keys(account), [limit, millis]),
    whenAway
  })
})
