export * as Fault from "./Fault.ts"
export * as FileIoTest from "./FileIoTest.ts"
export * as MemoryHost from "./MemoryHost.ts"
