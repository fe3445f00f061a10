/** Files of age, for tests on machines without it. */

export const PASSPHRASE = "correct horse battery staple"
export const CONTENT = "see you at eight\n"

/** Of `age -p`, which asks for its passphrase on a terminal. */
export const WITH_PASSPHRASE = Buffer.from(
  "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBPQVJSbzhwMnBrbzJPZ3lIVjR0RnpRIDE4CmxkVDM5TVovZnE0VDB5V2UzZEszQU1EYXYz" +
    "SGdvTFhmeEdhbE1LT1M1a1UKLS0tIFlwU1YyM1Z3ZWI4UkRhMStpRDh0Q1czZzR6U2ZKaDJMYzNybU1rTEVEbFUKCc3cN1I9tFxo13n94nUSoCo0" +
    "Dq7yf/q7agreyMA3+WmDrXzbOkLpCKzrgicTxauIsA==",
  "base64"
)

/** Of `age -a -p`. */
export const ARMORED = `-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBNZ1ZxL1R1bXpYZ0g1YktN
eWJ5U2NnIDE4Cng4cDI4blBlL2lqSHAwWjZIczFnMlhSakFSSUFZZm5yU0NDSHUw
TEJlR2cKLS0tIGZyMnBleGNmTGpEV2JEMVF0bVNtTXM3ZkxXT3ZXN01XTU1CR3Z5
ZzVxRDAKCkyJ/jkQ+2J96CADUMfzNLv+MTHE8KgZpHRqPJy7p05bQ75s3XGkd8SO
xaEEBKlXng==
-----END AGE ENCRYPTED FILE-----
`

/** A post-quantum key, and a file for it, of the library of age. */
export const POST_QUANTUM = {
  identity: "AGE-SECRET-KEY-PQ-1ZU5TPRX8JAS72P47H9YP0G8CNYC74D98NC7Y6L5XKCET5ZGULCHSEHYQTG",
  file: Buffer.from(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IG1sa2VtNzY4eDI1NTE5IGVMVlZXOWFGUWdWeTV6Zkp6Yld3dEozbmZTZ3lCZUFBclhYbzQ0WTEvVXUx" +
      "dnNOd2Zob1NXakZFb0hIQUZnNkE4bFArbzMycmtPYWl1cklrSlNvbyswaEZTWVFPREYyMmxtTERsUVVmZ0lNRTF5U3JudnNHelRHWkJ5RW5lazM1" +
      "SUVyRG1HUE93bVhER1VOK3FDb1J3NlhWQmRqNTd0Z0FlMnBBOVp0WmVqUEFWeEE5azF1eGExdXA0cGgrbVF5UzFjR29vV280a1ZMcERITGtCUXBG" +
      "TXBySDRuaDFTeTZrK0JDUUlBR3BvUm16aWN1aFFuc21UbUU1RWRBTDBRc1MxYzJIdnZJOThjWGM2azRqMjkrdG94bmxFYkxmWmZjQ1E4aFdFcmhO" +
      "R2oyTURPVUJabmVOUEFtODlvcUV1Y28yVFFncFFXR2NKZnJEUW0ydXM2ZnA4NmRNYi9JanBGa1BkdDlZam5ybGdhZXNNdEdtZHExN2lDbUZac1hW" +
      "YUppa2haRm93OWZNc0QrL2dvOGJ0akF4b1prT05sTlNXRlVkZ2Q0ZDJTd3d5SFA5OFBRR2dMMlRZcDV4UVgyWkxtemc3RUkxQXdsdFd2aXBDU0xi" +
      "c09OdStjc2g5RjlGQ0R6SHVxTG12REdsamc2ait2Uk9IZyt0YlBnaHhtOUJTMFVuY0ZRZEZUU0ZHTUUzdDZ5WlpERStscWJOY0lsZmluMHpzOFNF" +
      "QmVuRm96dnB0c2dBNjZ4Q2NKRzQvd25abUlLcEYxbVl2ZzgrYURiei9YN3loMVdTMVdVZWhpcDJKR0xWVkdjVGJROXBqZnBlQWEyVzNiVURPMkRV" +
      "cWVNZUxRREF0angrYStldlh1OWdxUGRoMWtyR0d6TXdzc1gyR1h1VWhGYUdpU2NSeFRDQkl2NjFFS3IySDhObERXem5tRWlyTzJUb2lxWXk3THlu" +
      "dUJoa3hGU1RpMmxMb21SRDdZcEtGdUVBT25ZYW5XTTJQV2gwR3dZdUxXclNNWjBYYzFGMXhkS1I1OXoyQWpjUWloWWtFb2NHekxnNktIcW9MVUto" +
      "RXpQYjZWZEhIZndzVkVmek4yNzQ0elhqTjRIcFdwdWlieHEwYXVSalRqbmVBNzF6WUptWWdRNXVDZzNWRVljenNUMStLVDNpd0ZpTktkZmpqL2p0" +
      "c3ZybXlqMXhzZnZPcXlyRGhKajZ5c2EySnJuZHJFZXV5MWhrMVlXYkU1U0o0UnY1ZmZ3VkV0akg0MzhveVAySE5jb29KWXlsZXhCNzhkNmwwOXNo" +
      "TWxRK2VSWHEzd0JjdzVSbzlFSnlBS1JrcHZEeXN5Q2xkQmR1UE5tTWgzZ1V2YzV6ZVhkM21Wbk5zYUxZVGExSGhoTkQ1SUEzV1dtcGVjc25ZQnpV" +
      "ZWZlTU9NeGZGUHdWSXZrbWVUbm9BbjBPYUZpeHROYTd4N1A5VjVQOEtrOEpkUHl5aEYxQXlkc1VneGpVZFVXdHNGWjdySWlIQWhPdFZtL2hIblFk" +
      "UWZuVlJjVE9uZ1lFbzVaMkFwSkhoQXVva2dNb29UVW5xQ3puSzJvK0NFNldjV1J2MVdSajZlWkt3ekhnZ0dMMzVPdjZwczR0eWdXeTVJUy9yeWc4" +
      "NUo2a2ZRb2trcjFzK3VMRTVDK0czam9wWmwvOVRMWEJpWjV1emJ1a3J0dDUxQmZLRE1xQ01RbGpUV3VNVXVFRm1YZGdMOWxxd1NWSkQ4YWtwZ01a" +
      "OFR6YkR5N1NUcjE2T1NwdXFJU25uTWFkUEowTHBuSEFsOTdDUnR3Zmg2QkZXblhOeTNKcHlsYUFWYnpueDZtNHZCbnlDQUhoL1pEMzk3YnhxSWsy" +
      "SURSYzg2YzFIak8zSWl0aHhGVnV2YlJZZFEzcTdGMzNoclpkRC9NQ2gvd0FXMWtBOHB0ajd4c1RkZkhGS21md1NuRnowdTdpcEw4SHBhYldHQTc4" +
      "ZXJlaURJSW9xRkY4eFFqS1ZsVEhSUQpmT1FXVXREVlY1c09jSWlnQndYTi9VMXhiWkpYdlF6TGRVY2plV1JMS2hrCi0tLSBORkZkSUx3WjRVaE1Y" +
      "VnUzNXg0UGp0N1VSMVVETUJHbjBBeVJiRDYrejAwCtJQP+GvFrt4Ukn17kIy9eaxLM8yBGjGoJ/xZisiFcfamXYz1Yj9RBiebQDNS2DeVdU=",
    "base64"
  )
}

const VERSION = "age-encryption.org/v1\n"
export const MAC = `--- ${"M".repeat(43)}\n`

/** A header with this number of recipients, right in its form alone. */
export const headerOf = (recipients: number): string =>
  VERSION + `-> X25519 ${"s".repeat(43)}\n${"g".repeat(43)}\n`.repeat(recipients) + MAC
