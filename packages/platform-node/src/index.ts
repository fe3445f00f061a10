export * as NodeFileIo from "./NodeFileIo.ts"
export * as NodeHttp from "./NodeHttp.ts"
export * as NodePlatform from "./NodePlatform.ts"
export * as NodeRateLimit from "./NodeRateLimit.ts"
