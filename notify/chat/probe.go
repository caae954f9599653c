package chat

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
)

// Probe asks Slack whose the token is.
func (s *Slack) Probe(ctx context.Context) error {
	var answer struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	status, _, err := s.call(ctx, http.MethodPost, s.base+"/auth.test", struct{}{}, &answer)
	if err != nil {
		return err
	}
	if !answer.OK {
		return fmt.Errorf("slack does not take the token: %s", cmp.Or(answer.Error, http.StatusText(status)))
	}
	return nil
}

// Probe asks the homeserver whose the token is.
func (x *Matrix) Probe(ctx context.Context) error {
	var answer struct {
		UserID string `json:"user_id"`
		Error  string `json:"error"`
	}
	status, _, err := x.call(ctx, http.MethodGet, x.base+"/_matrix/client/v3/account/whoami", nil, &answer)
	if err != nil {
		return err
	}
	if status != http.StatusOK || answer.UserID == "" {
		return fmt.Errorf("the Matrix homeserver does not take the token: %s", cmp.Or(answer.Error, http.StatusText(status)))
	}
	return nil
}
