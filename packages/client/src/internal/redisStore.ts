/**
 * Places in Redis, taken by one script on the server, by the server's clock.
 *
 * An account has three keys, which a cluster keeps together: `flight` (requests that are out, by the time they took their
 * place), `rest` (requests that count until a time) and `state` (a hash: until when the account pauses, and the limit).
 */
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import type { Quota, Store, Taken, Taker } from "../RateLimitStore.ts"
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

/** Gives how many places were taken, and the milliseconds to wait when none was: less than 0 when the account pauses. */
const TAKE = `${BEGIN}
local limit, window, patience, guard = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
-- The smallest bound of the processes that were here in the last half minute.
redis.call("HSET", state, "taker:" .. ARGV[5], ARGV[6] .. " " .. text(now))
local bound = tonumber(ARGV[6])
local fields = redis.call("HGETALL", state)
for n = 1, #fields, 2 do
  if string.sub(fields[n], 1, 6) == "taker:" then
    local theirs, seen = string.match(fields[n + 1], "^(%S+) (%S+)$")
    if tonumber(seen) + 30000 < now then
      redis.call("HDEL", state, fields[n])
    else
      bound = math.min(bound, tonumber(theirs))
    end
  end
end
local hold = window + guard - bound
local paused = tonumber(redis.call("HGET", state, "pausedUntil") or "0")
if paused > now then return { "0", text(now - paused) } end
-- Those that were never heard of again count from the time at which they must have arrived.
local last
for _, lost in ipairs(redis.call("ZRANGEBYSCORE", flight, "-inf", text(now - patience), "WITHSCORES")) do
  if last then
    redis.call("ZREM", flight, last)
    redis.call("ZADD", rest, text(tonumber(lost) + patience), last)
    last = nil
  else
    last = lost
  end
end
local longest = math.max(window, tonumber(redis.call("HGET", state, "window") or "0"))
redis.call("HSET", state, "window", text(longest))
redis.call("ZREMRANGEBYSCORE", rest, "-inf", text(now - longest - guard))
local since = "(" .. text(now - hold)
local held = redis.call("ZCARD", flight) + redis.call("ZCOUNT", rest, since, "+inf")
if held < limit then
  local count = math.min(limit - held, #ARGV - 6)
  for n = 1, count do redis.call("ZADD", flight, text(now), ARGV[6 + n]) end
  keep(patience + longest + 1000)
  return { tostring(count), "0" }
end
local wait
local known = redis.call("ZRANGEBYSCORE", rest, since, "+inf", "WITHSCORES", "LIMIT", math.max(0, held - limit), 1)
if known[2] then wait = tonumber(known[2]) + hold - now end
-- An answer that is still out frees its place at least a window after it was sent.
local first = redis.call("ZRANGE", flight, 0, 0, "WITHSCORES")
if first[2] then
  local earliest = math.max(tonumber(first[2]) + window + guard - now, 25)
  wait = math.min(wait or earliest, earliest)
end
return { "0", text(math.max(wait or 25, 1)) }
`

const SETTLE = `${BEGIN}
if redis.call("ZREM", flight, ARGV[1]) == 1 then
  redis.call("ZADD", rest, text(now - tonumber(ARGV[2])), ARGV[1])
  keep(tonumber(redis.call("HGET", state, "window") or "1000") - tonumber(ARGV[2]) + 1000)
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
  take: script<readonly [count: string, wait: string]>(TAKE),
  settle: script(SETTLE),
  pause: script(PAUSE),
  recall: script(RECALL),
  remember: script(REMEMBER)
}

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
  return {
    take: (account, places, { limit, window }: Quota, { bound, id }: Taker) =>
      Effect.map(
        run.take(keys(account), [limit, window, PATIENCE, GUARD, id, bound.toFixed(3), ...places]),
        (answer): Taken => {
          const [count, wait] = [Number(answer[0]), Number(answer[1])]
          return count > 0
            ? { _tag: "Taken", count }
            : wait > 0
            ? { _tag: "Full", wait }
            : { _tag: "Paused", wait: -wait }
        }
      ),
    settle: (account, place, ago) => run.settle(keys(account), [place, ago]),
    giveBack: (account, places) => redis.send("ZREM", keys(account)[0]!, ...places),
    pause: (account, millis, { limit, window }) => run.pause(keys(account), [millis, limit, window, GUARD]),
    recall: (account) => Effect.map(run.recall(keys(account), []), (limit) => limit === "" ? undefined : Number(limit)),
    remember: (account, limit, millis) => run.remember(keys(account), [limit, millis]),
    whenAway
  }
})
