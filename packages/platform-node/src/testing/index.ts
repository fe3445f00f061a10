export * as NodeFaultHost from "./NodeFaultHost.ts"
