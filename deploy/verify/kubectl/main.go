// Command kubectl is Kubernetes' own client, whose program is in no module that has its parts: cmd/kubectl of Kubernetes does
// the same.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() {
	os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
}
