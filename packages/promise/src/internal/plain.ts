/** Converts the client's classes to the plain data of `Models`. */
import type * as ClientFileIo from "@effect-fileio/client/FileIo"
import type * as CoreAccount from "@effect-fileio/core/Account"
import type * as CoreFileDetails from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as CoreFileList from "@effect-fileio/core/FileList"
import type * as CoreFileStatus from "@effect-fileio/core/FileStatus"
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import type * as Models from "../Models.ts"

const toDate = (value: unknown): unknown => DateTime.isDateTime(value) ? DateTime.toDate(value) : value

export const fileDetails = (file: CoreFileDetails.FileDetails): Models.FileDetails => ({
  ...Object.fromEntries(Object.entries(file).map(([name, value]) => [name, toDate(value)])) as unknown as Omit<
    Models.FileDetails,
    "downloadsLeft"
  >,
  downloadsLeft: file.downloadsLeft
})

export const fileList = (list: CoreFileList.FileList): Models.FileList => ({
  ...list,
  files: list.files.map(fileDetails)
})

export const fileStatus = (status: CoreFileStatus.FileStatus): Models.FileStatus => ({
  ...Object.fromEntries(Object.entries(status).map(([name, value]) => [name, toDate(value)])) as unknown as Omit<
    Models.FileStatus,
    "isGone"
  >,
  isGone: status.isGone
})

export const account = (account: CoreAccount.Account): Models.Account => ({
  ...account,
  storageLeft: account.storageLeft
})

export const fileState = ({ _tag, file }: ClientFileIo.FileState): Models.FileState => ({
  _tag,
  file: fileDetails(file)
})

export const settled = <A, B>(
  result: Result.Result<A, FileIoError.FileIoError>,
  toPlain: (value: A) => B
): Models.Settled<B> =>
  Result.isSuccess(result)
    ? { status: "fulfilled", value: toPlain(result.success) }
    : { status: "rejected", reason: result.failure }
