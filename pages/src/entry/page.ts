/** The script of the pages that neither send nor receive. */
import { enhancePage } from "../common.ts"

enhancePage()
