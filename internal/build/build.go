// Package build says which Treeline this is: the version that its release was given, or what the Go
// toolchain recorded of the checkout it was built from.
package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Source is where Treeline's code is.
const Source = "https://github.com/treeline-ci/treeline"

// released is the version of a release, as git describes it; tools/release has the linker write it.
var released string //nolint:gochecknoglobals // the linker's only way in

// Info says which program this is.
type Info struct {
	Version  string `json:"version"`          // such as v1.2.0, or v1.2.0-14-g1a2b3c4 between releases
	Commit   string `json:"commit,omitempty"` // the whole revision
	Time     string `json:"time,omitempty"`   // of the commit, RFC 3339
	Modified bool   `json:"modified"`         // files differed from the commit
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Read returns what is known of this program.
func Read() Info {
	i := Info{Version: "unknown", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		i.Version = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				i.Commit = s.Value
			case "vcs.time":
				i.Time = s.Value
			case "vcs.modified":
				i.Modified = s.Value == "true"
			}
		}
	}
	if released != "" {
		i.Version = released
	}
	return i
}

// String is the version and the commit, in one line.
func (i Info) String() string {
	return strings.TrimSpace(fmt.Sprint(i.Version, " ", i.Commit))
}
