/** Addresses and networks, as operators write them: `127.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`. */
import * as Result from "effect/Result"
import { BlockList, isIP } from "node:net"

/** `::ffff:192.0.2.1` is `192.0.2.1`, on a socket that accepts both families. */
export const plain = (address: string): string => /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address

const family = (address: string): "ipv4" | "ipv6" => isIP(address) === 6 ? "ipv6" : "ipv4"

/** Whether an address is in the list; fails with the first entry that is neither an address nor a network. */
export const parse = (entries: ReadonlyArray<string>): Result.Result<(address: string) => boolean, string> => {
  if (entries.length === 0) return Result.succeed(() => false)
  const list = new BlockList()
  for (const entry of entries) {
    const [address = "", bits] = entry.split("/")
    const most = isIP(address) === 6 ? 128 : 32
    if (isIP(address) === 0) return Result.fail(entry)
    if (bits === undefined) list.addAddress(address, family(address))
    else if (/^\d{1,3}$/.test(bits) && Number(bits) <= most) list.addSubnet(address, Number(bits), family(address))
    else return Result.fail(entry)
  }
  return Result.succeed((address) => isIP(address) !== 0 && list.check(address, family(address)))
}
