// Package known says what actions that many use are for: names are those of GitHub, in lower case and without a version.
package known

import (
	"regexp"
	"strings"
)

// Setup is what an action puts on the machine, such as Go; "" for another action.
func Setup(action string) string { return setups[action] }

// Replaced says what does an action's work in Treeline; "" for another action.
func Replaced(action string) string { return replaced[action] }

// Advice is what to do about an action that is not converted; "" if nothing is known.
func Advice(action string) string { return advices[action] }

var number = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*$`)

// Image is the image of a language, by the action that sets it up; "" for none.
func Image(action, version string) string {
	clean := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(version, "v"), ".x"), ".x")
	if !number.MatchString(clean) {
		clean = ""
	}
	tag := func(name, otherwise string) string {
		if clean == "" {
			return name + ":" + otherwise
		}
		return name + ":" + clean
	}
	switch action {
	case "actions/setup-go":
		return tag("golang", "latest")
	case "actions/setup-node":
		return tag("node", "lts")
	case "actions/setup-python":
		return tag("python", "3")
	case "ruby/setup-ruby":
		return tag("ruby", "latest")
	case "dtolnay/rust-toolchain", "actions-rs/toolchain", "actions-rust-lang/setup-rust-toolchain":
		if strings.HasPrefix(version, "nightly") {
			return "rustlang/rust:nightly"
		}
		return tag("rust", "latest")
	case "actions/setup-java":
		if clean != "" {
			return "maven:3-eclipse-temurin-" + clean // its own versions are Maven's
		}
		return "maven:latest"
	case "shivammathur/setup-php":
		return tag("php", "latest")
	}
	return ""
}

// setups are actions that put a program on the machine: the worker has it, or its image.
var setups = map[string]string{
	"actions/setup-go": "Go", "actions/setup-node": "Node", "actions/setup-python": "Python", "actions/setup-java": "Java", "actions/setup-dotnet": ".NET",
	"ruby/setup-ruby": "Ruby", "actions/setup-ruby": "Ruby", "dtolnay/rust-toolchain": "Rust", "actions-rs/toolchain": "Rust", "actions-rust-lang/setup-rust-toolchain": "Rust",
	"moonrepo/setup-rust": "Rust", "swatinem/rust-cache": "Rust", "pnpm/action-setup": "pnpm", "shivammathur/setup-php": "PHP", "astral-sh/setup-uv": "uv",
	"oven-sh/setup-bun": "Bun", "denoland/setup-deno": "Deno", "erlef/setup-beam": "Erlang and Elixir", "haskell-actions/setup": "Haskell", "haskell/actions/setup": "Haskell",
	"subosito/flutter-action": "Flutter", "dart-lang/setup-dart": "Dart", "julia-actions/setup-julia": "Julia", "r-lib/actions/setup-r": "R", "r-lib/actions/setup-pandoc": "Pandoc",
	"gradle/actions/setup-gradle": "Gradle", "gradle/gradle-build-action": "Gradle", "sbt/setup-sbt": "sbt", "hashicorp/setup-terraform": "Terraform", "azure/setup-helm": "Helm", "azure/setup-kubectl": "kubectl",
	"swift-actions/setup-swift": "Swift", "goto-bus-stop/setup-zig": "Zig", "mlugg/setup-zig": "Zig", "arduino/setup-protoc": "protoc", "taiki-e/install-action": "the tools of install-action",
	"microsoft/setup-msbuild": "MSBuild", "android-actions/setup-android": "the Android SDK", "maxim-lobanov/setup-xcode": "Xcode", "docker/setup-buildx-action": "docker buildx",
	"docker/setup-qemu-action": "QEMU for docker", "sigstore/cosign-installer": "cosign", "extractions/setup-just": "just", "conda-incubator/setup-miniconda": "conda", "nuget/setup-nuget": "NuGet",
	"msys2/setup-msys2": "MSYS2", "ilammy/msvc-dev-cmd": "the compiler of Visual Studio", "lukka/get-cmake": "CMake", "seanmiddleditch/gha-setup-ninja": "Ninja", "cachix/install-nix-action": "Nix",
	"pdm-project/setup-pdm": "PDM", "snok/install-poetry": "Poetry", "volta-cli/action": "Volta", "bufbuild/buf-setup-action": "buf", "actions/setup-haskell": "Haskell",
}

// replaced are actions whose work Treeline does itself, or that only ever spoke to GitHub's own runners.
var replaced = map[string]string{
	"step-security/harden-runner":                   "what a worker's tasks may do is said at the worker (docs/how-to/harden-a-worker.md)",
	"styfle/cancel-workflow-action":                 "newer builds cancel older ones: autoCancelPreviousChecks in .taskcluster.yml",
	"dorny/test-reporter":                           "JUnit files among the artifacts are read and shown by Treeline",
	"mikepenz/action-junit-report":                  "JUnit files among the artifacts are read and shown by Treeline",
	"enricomi/publish-unit-test-result-action":      "JUnit files among the artifacts are read and shown by Treeline",
	"jlumbroso/free-disk-space":                     "workers have the disk that they are given",
	"easimon/maximize-build-space":                  "workers have the disk that they are given",
	"re-actors/alls-green":                          "the check Treeline of a push is green when all of its tasks are; require that one",
	"gradle/wrapper-validation-action":              "it is for people who send changes of gradle-wrapper.jar: review these",
	"gradle/actions/wrapper-validation":             "it is for people who send changes of gradle-wrapper.jar: review these",
	"asdf-vm/actions/install":                       "the worker must have what .tool-versions names",
	"actions/configure-pages":                       "it sets up GitHub Pages; see what the step that deploys becomes",
	"conventional-changelog/commitlint-github-hook": "a webhook of its own",
}

// advices are what to do about actions that many use and that are not converted.
var advices = map[string]string{
	"codecov/codecov-action":                 "keep the report as an artifact, or call Codecov's command line with its token from a secret",
	"coverallsapp/github-action":             "keep the report as an artifact, or call Coveralls' command line with its token from a secret",
	"docker/build-push-action":               "call docker buildx build in a script, or let a kind of docker-image tasks make the image (docs/how-to/build-docker-images.md)",
	"docker/login-action":                    "call docker login --password-stdin with a secret",
	"docker/metadata-action":                 "make the tags in a script from $GITHUB_REF",
	"softprops/action-gh-release":            "call gh release in a script with a token from a secret",
	"actions/create-release":                 "call gh release in a script with a token from a secret",
	"ncipollo/release-action":                "call gh release in a script with a token from a secret",
	"svenstaro/upload-release-action":        "call gh release upload in a script with a token from a secret",
	"peaceiris/actions-gh-pages":             "push the branch in a script, with a deploy key from a secret",
	"jamesives/github-pages-deploy-action":   "push the branch in a script, with a deploy key from a secret",
	"actions/deploy-pages":                   "publish to a server of yours, or push the branch that Pages shows",
	"github/codeql-action/init":              "CodeQL's uploads are for GitHub's own runners; its command line can run in a task",
	"github/codeql-action/analyze":           "CodeQL's uploads are for GitHub's own runners; its command line can run in a task",
	"github/codeql-action/autobuild":         "CodeQL's uploads are for GitHub's own runners; its command line can run in a task",
	"github/codeql-action/upload-sarif":      "uploads for the security page are for GitHub's own runners; keep the file as an artifact",
	"ossf/scorecard-action":                  "leave it at GitHub, or call scorecard in a script",
	"actions/github-script":                  "write the calls with gh api or curl, with a token from a secret",
	"actions/labeler":                        "leave it at GitHub: it changes pull requests, not builds",
	"actions/stale":                          "leave it at GitHub: it changes issues, not builds",
	"actions/first-interaction":              "leave it at GitHub: it greets people",
	"dessant/lock-threads":                   "leave it at GitHub: it changes issues, not builds",
	"actions/dependency-review-action":       "leave it at GitHub: it reads GitHub's own graph of dependencies",
	"dependabot/fetch-metadata":              "leave it at GitHub: it is about pull requests of Dependabot",
	"peter-evans/create-pull-request":        "push a branch and call gh pr create in a script, with a token from a secret",
	"pypa/gh-action-pypi-publish":            "call twine upload in a script, with a token from a secret",
	"js-devtools/npm-publish":                "call npm publish in a script, with a token from a secret",
	"changesets/action":                      "call changeset in a script, with a token from a secret",
	"slackapi/slack-github-action":           "a notify route tells people (docs/how-to/be-told-when-a-task-fails.md)",
	"8398a7/action-slack":                    "a notify route tells people (docs/how-to/be-told-when-a-task-fails.md)",
	"dorny/paths-filter":                     "give the tasks when: changed(…) (docs/reference/conditions.md)",
	"tj-actions/changed-files":               "give the tasks when: changed(…) (docs/reference/conditions.md)",
	"aws-actions/configure-aws-credentials":  "ask Treeline's own credentials for S3 (docs/how-to/cloud-credentials.md), or read keys from a secret",
	"google-github-actions/auth":             "read a key from a secret",
	"azure/login":                            "read a key from a secret",
	"webfactory/ssh-agent":                   "read the key from a secret and start ssh-agent in the script",
	"actions/attest":                         "chain-of-trust: true in worker certifies artifacts (docs/how-to/harden-a-worker.md)",
	"actions/attest-build-provenance":        "chain-of-trust: true in worker certifies artifacts (docs/how-to/harden-a-worker.md)",
	"sonarsource/sonarcloud-github-action":   "call sonar-scanner in a script, with its token from a secret",
	"super-linter/super-linter":              "call the linters that you use in a script",
	"github/super-linter":                    "call the linters that you use in a script",
	"cypress-io/github-action":               "call npx cypress run in a script",
	"reactivecircus/android-emulator-runner": "a worker with a device (capabilities.devices kvm) can run the emulator from a script",
	"vmactions/freebsd-vm":                   "a worker on FreeBSD does not exist yet; run the machine with qemu in a script",
	"cross-platform-actions/action":          "run the machine with qemu in a script",
	"uraimo/run-on-arch-action":              "use a worker of that architecture, or docker with QEMU in a script",
}
