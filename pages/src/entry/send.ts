/** The script of the page of senders, which loads the SDK when the first upload begins. */
import { enhancePage } from "../common.ts"
import { enhance } from "../send.ts"

enhancePage(enhance)
