export * as NodeDiskSpace from "./NodeDiskSpace.ts"
export * as NodeFileIo from "./NodeFileIo.ts"
export * as NodeFileIoHttp from "./NodeFileIoHttp.ts"
