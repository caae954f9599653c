package treeline_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"testing"
)

// unixOnly are names of package syscall that Windows has not. What needs them stands in internal/sys, or in a file for
// certain systems: releases are built for Windows too.
var unixOnly = []string{
	"Credential", "Dup", "Dup2", "Fdatasync", "Flock", "ForkExec", "Getpgid", "Kill", "Mkfifo", "PtraceDetach", "Rusage", "Setgroups", "Setgid", "Setpgid",
	"Setuid", "SIGCHLD", "SIGUSR1", "SIGUSR2", "SIGWINCH", "Stat_t", "Statfs", "Statfs_t", "Umask", "Wait4",
}

// forSystems matches names of files that the Go toolchain takes for some systems only.
var forSystems = regexp.MustCompile(`_(linux|darwin|unix|windows)\.go$`)

func TestWhatWindowsLacksIsKeptApart(t *testing.T) {
	for _, p := range packages(t) {
		if within(p.room(), []string{"internal/pgtest", "internal/podmantest", "internal/rabbittest", "internal/s3test", "internal/hgtest", "internal/npmtest", "ui/uitest"}) {
			continue // tests run on Linux
		}
		eachFile(t, p, func(name string, file *ast.File, fset *token.FileSet) {
			if forSystems.MatchString(name) {
				return
			}
			ast.Inspect(file, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := s.X.(*ast.Ident); ok && (x.Name == "syscall" && slices.Contains(unixOnly, s.Sel.Name) || x.Name == "unix") {
					t.Errorf("%s: Windows has no %s.%s: use internal/sys, or a file for the systems that have it", fset.Position(n.Pos()), x.Name, s.Sel.Name)
				}
				return true
			})
		})
	}
}
