/** The script of the page of receivers, which loads the SDK for an encrypted file. */
import { enhancePage } from "../common.ts"
import { enhance } from "../receive.ts"

enhancePage(enhance)
