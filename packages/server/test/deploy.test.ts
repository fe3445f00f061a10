import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Path from "node:path"
import { text } from "node:stream/consumers"
import { call, eventually, start, temporaryFolder, uploaded } from "./support.ts"

const DEPLOY = Path.join(import.meta.dirname, "../deploy")
const read = (name: string) => Fs.readFileSync(Path.join(DEPLOY, name), "utf8")

const hasNginx = spawnSync("nginx", ["-v"]).status === 0 && spawnSync("openssl", ["version"]).status === 0
const hasPromtool = spawnSync("promtool", ["--version"]).status === 0
if (!hasPromtool) process.stderr.write("no promtool in the path: the alerts are not tried with Prometheus\n")
if (!hasNginx) process.stderr.write("no nginx or openssl in the path: the file for nginx is not tested\n")

const freePort = Effect.promise(() =>
  new Promise<number>((resolve) => {
    const server = Net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })
)

describe("what an operator deploys", () => {
  it.effect("watches metrics that there are", () =>
    Effect.gen(function*() {
      const { adminUrl, url } = yield* start({ admin: {} })
      const { key } = yield* uploaded(url, "12345")
      yield* call(`${url}/${key}`)
      const metrics = (yield* call(`${adminUrl!}/metrics`)).text
      const known = new Set(metrics.match(/^\w+/gm))
      for (const name of ["prometheus-rules.yaml", "grafana-dashboard.json"]) {
        const used = new Set(read(name).match(/\b(?:fileio|process)_\w+/g))
        assert.isAtLeast(used.size, 4)
        for (const metric of used) {
          // Faults are there from the first one on.
          if (metric !== "fileio_faults_total") assert.isTrue(known.has(metric), `${name}: ${metric}`)
        }
      }
      const { panels } = JSON.parse(read("grafana-dashboard.json")) as { readonly panels: ReadonlyArray<object> }
      assert.isAtLeast(panels.length, 8)
    }))

  it.effect.skipIf(!hasPromtool)(
    "has metrics, queries and alerts that Prometheus takes, and the alerts fire",
    () =>
      Effect.gen(function*() {
        const { adminUrl, url } = yield* start({ admin: {} })
        const { key } = yield* uploaded(url, "12345")
        yield* call(`${url}/${key}`)
        const metrics = (yield* call(`${adminUrl!}/metrics`)).text
        const checked = spawnSync("promtool", ["check", "metrics"], { input: metrics, encoding: "utf8" })
        assert.deepStrictEqual([checked.status, checked.stderr], [0, ""])

        const folder = yield* temporaryFolder
        const dashboard = JSON.parse(read("grafana-dashboard.json")) as {
          readonly panels: ReadonlyArray<{ readonly targets?: ReadonlyArray<{ readonly expr: string }> }>
        }
        const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
        assert.isAtLeast(queries.length, 10)
        const rules = Path.join(folder, "queries.yaml")
        // As rules, since Prometheus' tool checks no other queries without a server.
        const recorded = queries.map((expr, i) => ({
          record: `query_${i}`,
          expr: expr.replaceAll("$__rate_interval", "5m")
        }))
        Fs.writeFileSync(rules, JSON.stringify({ groups: [{ name: "dashboard", rules: recorded }] }))
        const parsed = spawnSync("promtool", ["check", "rules", rules], { encoding: "utf8" })
        assert.strictEqual(parsed.status, 0, parsed.stderr)

        const tests = Path.join(folder, "tests.yaml")
        const series = (name: string, values: string) => ({ series: name, values })
        const fires = (alertname: string, eval_time: string, exp_labels: object, exp_annotations: object) => ({
          alertname,
          eval_time,
          exp_alerts: [{ exp_labels, exp_annotations }]
        })
        const input_series = [
          series("up{job=\"fileio\",instance=\"a\"}", "1 0x700"),
          series("fileio_healthy{instance=\"a\"}", "1 0x700"),
          series("fileio_faults_total{instance=\"a\",kind=\"catalog\"}", "0 1x700"),
          // A gibibyte less each minute is no byte within a day.
          series("fileio_disk_free_bytes{instance=\"a\"}", "900000000000-1073741824x700"),
          series("fileio_last_sweep_timestamp_seconds{instance=\"a\"}", "0x700"),
          series("fileio_requests_total{instance=\"a\",status=\"500\"}", "0+1x700"),
          series("fileio_requests_total{instance=\"a\",status=\"200\"}", "0+9x700")
        ]
        const alerts = [
          fires("FileioDown", "5m", { instance: "a", job: "fileio", severity: "page" }, {
            summary: "fileio-server a does not respond"
          }),
          fires("FileioFailing", "5m", { instance: "a", severity: "page" }, {
            summary: "a cannot store or give files; /healthz says why"
          }),
          fires("FileioFaults", "5m", { instance: "a", kind: "catalog", severity: "ticket" }, {
            summary: "a had a fault: catalog"
          }),
          fires("FileioDiskFull", "8h", { instance: "a", severity: "ticket" }, {
            summary: "the disk of a is full within a day, as it goes now"
          }),
          fires("FileioNotSwept", "15m", { instance: "a", severity: "ticket" }, {
            summary: "a has not removed ended files for 10 minutes"
          }),
          fires("FileioErrors", "20m", { instance: "a", severity: "ticket" }, {
            summary: "more than 1 % of the responses of a are 5xx"
          })
        ]
        const quiet = input_series.map(({ series }) => ({
          series,
          values: series.startsWith("fileio_last_sweep")
            ? "0+60x700"
            : series.includes("500") || series.includes("faults")
            ? "0x700"
            : "1x700"
        }))
        Fs.writeFileSync(
          tests,
          // YAML includes JSON.
          JSON.stringify({
            rule_files: [Path.join(DEPLOY, "prometheus-rules.yaml")],
            tests: [
              { interval: "1m", input_series, alert_rule_test: alerts },
              {
                interval: "1m",
                input_series: quiet,
                alert_rule_test: alerts.map(({ alertname, eval_time }) => ({ alertname, eval_time, exp_alerts: [] }))
              }
            ]
          })
        )
        const tried = spawnSync("promtool", ["test", "rules", tests], { encoding: "utf8" })
        assert.strictEqual(tried.status, 0, tried.stdout + tried.stderr)
      })
  )

  it("is in the package, with the versions that are tested", () => {
    const { files } = JSON.parse(read("../package.json")) as { readonly files: ReadonlyArray<string> }
    assert.include(files, "deploy/*")
    const workspace = read("../../../pnpm-workspace.yaml")
    for (const [, name, version] of read("Dockerfile").matchAll(/ (@?[\w/-]+)@(\d[\w.]+)/g)) {
      assert.match(workspace, new RegExp(`^  "?${name!}"?: ${version!.replaceAll(".", "\\.")}$`, "m"), name)
    }
  })

  it.live.skipIf(!hasNginx)(
    "stands behind nginx, with links by https and the address of the client",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const [plain, secure] = [yield* freePort, yield* freePort]
        const accessLog = Path.join(folder, "access.jsonl")
        const { url } = yield* start({
          publicUrl: `https://files.example:${secure}`,
          trustedProxies: ["127.0.0.1"],
          accessLog,
          logAddresses: true
        })
        const [certificate, privateKey] = [Path.join(folder, "cert.pem"), Path.join(folder, "key.pem")]
        const made = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=files.example`
        const named = ["-addext", "subjectAltName=DNS:files.example", "-keyout", privateKey, "-out", certificate]
        execFileSync("openssl", [...made.split(" "), ...named], { stdio: "ignore" })
        const site = read("nginx.conf")
          .replace("listen 80;", `listen 127.0.0.1:${plain};`)
          .replace("listen 443 ", `listen 127.0.0.1:${secure} `)
          .replace("server 127.0.0.1:8080;", `server ${new URL(url).host};`)
          .replace(/ssl_certificate \S+;/, `ssl_certificate ${certificate};`)
          .replace(/ssl_certificate_key \S+;/, `ssl_certificate_key ${privateKey};`)
        assert.notInclude(site, "letsencrypt")
        const config = Path.join(folder, "nginx.conf")
        const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
          .map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")
        Fs.writeFileSync(
          config,
          `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1; ` +
            `${
              process.getuid?.() === 0 ? "user root;" : ""
            } events {} http { access_log off; ${temporary}\n${site}\n}\n`
        )
        yield* Effect.acquireRelease(
          Effect.sync(() => spawn("nginx", ["-c", config, "-p", folder], { stdio: "ignore" })),
          (nginx) => Effect.sync(() => nginx.kill("SIGQUIT"))
        )
        const ask = (path: string, method = "GET", body?: Buffer) =>
          new Promise<{ readonly status: number; readonly body: string; readonly hsts: string | undefined }>(
            (resolve, reject) => {
              const request = Https.request({
                host: "127.0.0.1",
                port: secure,
                servername: "files.example",
                path,
                method,
                ca: Fs.readFileSync(certificate),
                headers: {
                  host: `files.example:${secure}`,
                  ...(body === undefined ? {} : { "content-type": "application/octet-stream" })
                }
              }, (response) => {
                const hsts = response.headers["strict-transport-security"]
                text(response).then((body) => resolve({ status: response.statusCode!, body, hsts }), reject)
              })
              request.on("error", reject)
              request.end(body)
            }
          )
        yield* eventually("nginx listens", () => ask("/me").then(() => true, () => false))
        const sent = yield* Effect.promise(() => ask("/", "POST", Buffer.from("through nginx")))
        assert.strictEqual(sent.status, 200, sent.body)
        assert.isDefined(sent.hsts)
        const { key, link } = JSON.parse(sent.body) as { readonly key: string; readonly link: string }
        assert.strictEqual(link, `https://files.example:${secure}/${key}`)
        assert.strictEqual((yield* Effect.promise(() => ask(`/${key}`))).body, "through nginx")
        assert.strictEqual((yield* Effect.promise(() => ask(`/${key}`))).status, 404)
        const moved = yield* call(`http://127.0.0.1:${plain}/${key}`)
        assert.strictEqual(moved.status, 308)
        yield* eventually(
          "the log has them",
          () => Fs.readFileSync(accessLog, "utf8").trimEnd().split("\n").length >= 4
        )
        assert.include(Fs.readFileSync(accessLog, "utf8"), "\"route\":\"/:key\",\"status\":200")
      })
  )
})
