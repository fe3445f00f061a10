/** The flags that every command takes. */
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"

const toggle = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description))

export const Json = GlobalFlag.Setting("json")({
  flag: toggle("json", "Write one JSON object per line, for results and errors")
})

export const Quiet = GlobalFlag.Setting("quiet")({
  flag: toggle("quiet", "Write only results and errors").pipe(Flag.withAlias("q"))
})

export const Verbose = GlobalFlag.Setting("verbose")({
  flag: toggle("verbose", "Write the causes of errors, and debug logs")
})

export const BaseUrl = GlobalFlag.Setting("base-url")({
  flag: text("base-url", "URL", "Address of the host").pipe(Flag.optional)
})

export const Proxy = GlobalFlag.Setting("proxy")({
  flag: text(
    "proxy",
    "URL",
    "Proxy in place of HTTPS_PROXY and HTTP_PROXY; none: no proxy"
  ).pipe(Flag.optional)
})

export const CaCert = GlobalFlag.Setting("cacert")({
  flag: text("cacert", "FILE", "Further certificate authorities to trust, in PEM").pipe(Flag.optional)
})

export const Cert = GlobalFlag.Setting("cert")({
  flag: text("cert", "FILE", "Client certificate, in PEM").pipe(Flag.optional)
})

export const CertKey = GlobalFlag.Setting("cert-key")({
  flag: text("cert-key", "FILE", "Key of the client certificate, in PEM").pipe(Flag.optional)
})

export const Header = GlobalFlag.Setting("header")({
  flag: text(
    "header",
    "NAME: VALUE|@FILE",
    "Header for the configured host, or a file of headers; others on this machine can see a value given here"
  ).pipe(Flag.atLeast(0))
})

export const UnixSocket = GlobalFlag.Setting("unix-socket")({
  flag: text("unix-socket", "PATH", "Unix socket to connect to in place of the host").pipe(Flag.optional)
})

export const all = [Json, Quiet, Verbose, BaseUrl, Proxy, CaCert, Cert, CertKey, Header, UnixSocket] as const
