/** Loaded before a server of the fault lab: its clock is wrong by LAB_CLOCK_OFFSET milliseconds. */
const offset = Number(process.env["LAB_CLOCK_OFFSET"] ?? 0)
const RealDate = Date

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget): object =>
    Reflect.construct(target, args.length === 0 ? [RealDate.now() + offset] : args, newTarget),
  get: (target, name) => name === "now" ? () => RealDate.now() + offset : Reflect.get(target, name)
})
