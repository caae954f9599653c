package aboutcmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// healthSetting is the variable of the environment that names the address to ask.
const healthSetting = "TREELINE_HEALTH_URL"

// NewHealth makes the command that asks a server whether it can work.
func NewHealth() *cobra.Command {
	var url string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server whether it can work, for health checks of containers",
		Long: `Asks a server whether it can work: whether its process and its database answer. Nothing is printed and the exit
code is 0 when it can. It needs no other program, so that an image without a shell can be checked.`,
		Example: `  treeline health --url http://127.0.0.1:8080/__heartbeat__`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return healthy(ctx, cmp.Or(url, os.Getenv(healthSetting), "http://127.0.0.1:8080/__heartbeat__"))
		},
	}
	cmd.Flags().StringVar(&url, "url", "", "address to ask (default $"+healthSetting+", or http://127.0.0.1:8080/__heartbeat__)")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long the answer may take")
	return cmd
}

func healthy(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
		if err != nil {
			text = nil // the status says enough
		}
		return fmt.Errorf("the server cannot work: %s\n%s", answer.Status, text)
	}
	return nil
}
