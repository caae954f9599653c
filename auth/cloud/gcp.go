package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/treeline-ci/treeline/internal/fault"
)

// GCPToken is an OAuth2 access token of a service account.
type GCPToken struct {
	AccessToken string    `json:"accessToken"`
	Expires     time.Time `json:"expireTime"`
}

const (
	googleScope    = "https://www.googleapis.com/auth/cloud-platform"
	googleTokens   = "https://oauth2.googleapis.com/token"
	googleIAM      = "https://iamcredentials.googleapis.com"
	googleLifetime = "3600s"
)

// gcpProjects are the projects by id.
type gcpProjects struct {
	client   *http.Client
	iam      string
	projects map[string]gcpProject
}

type gcpProject struct {
	own     jwt.Config // of the service account that makes the tokens
	allowed []string
}

func newGCP(c GCPConfig, client *http.Client) (gcpProjects, error) {
	iam, err := address(c.IAMCredentials, googleIAM)
	if err != nil {
		return gcpProjects{}, fmt.Errorf("gcp: iamCredentials: %w", err)
	}
	out := gcpProjects{client: client, iam: iam, projects: map[string]gcpProject{}}
	for id, p := range c.Projects {
		tokens, err := address(p.Credentials["token_uri"], googleTokens)
		if err != nil {
			return gcpProjects{}, fmt.Errorf("gcp: project %s: token_uri: %w", id, err)
		}
		if p.Credentials["type"] != "service_account" || p.Credentials["client_email"] == "" {
			return gcpProjects{}, fmt.Errorf("gcp: project %s: credentials must be the JSON key file of a service account", id)
		}
		if _, err := rsaKey(p.Credentials["private_key"]); err != nil {
			return gcpProjects{}, fmt.Errorf("gcp: project %s: private_key: %w", id, err)
		}
		out.projects[id] = gcpProject{allowed: p.AllowedServiceAccounts, own: jwt.Config{
			Email: p.Credentials["client_email"], PrivateKey: []byte(p.Credentials["private_key"]),
			PrivateKeyID: p.Credentials["private_key_id"], Scopes: []string{googleScope}, TokenURL: tokens,
		}}
	}
	return out, nil
}

// GCP returns an access token of a service account that the configuration allows.
func (c *Cloud) GCP(ctx context.Context, projectID, serviceAccount string) (GCPToken, error) {
	if len(c.gcp.projects) == 0 {
		return GCPToken{}, notConfigured("Google Cloud", "gcp")
	}
	project, ok := c.gcp.projects[projectID]
	if !ok || !slices.Contains(project.allowed, serviceAccount) {
		return GCPToken{}, fault.New(fault.NotFound, "This deployment hands out no credentials for the service account %.200s in the project %.200s.", serviceAccount, projectID)
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, c.gcp.client), callFor)
	defer cancel()
	own, err := project.own.TokenSource(ctx).Token()
	if err != nil {
		return GCPToken{}, googleError(err)
	}
	return c.gcp.generate(ctx, own, serviceAccount)
}

// googleError is an error of the token's address; its body may repeat what was sent and is left out.
func googleError(err error) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok && answer.Response != nil {
		return refused("Google Cloud", answer.Response.StatusCode, fmt.Errorf("no token: %s", answer.ErrorCode))
	}
	return refused("Google Cloud", 0, err)
}

// generate asks IAM for a token of another service account. The project "-" stands for the
// account's own.
func (g gcpProjects) generate(ctx context.Context, own *oauth2.Token, serviceAccount string) (GCPToken, error) {
	body, err := json.Marshal(map[string]any{"scope": []string{googleScope}, "delegates": []string{}, "lifetime": googleLifetime})
	if err != nil {
		return GCPToken{}, err
	}
	at := g.iam + "/v1/projects/-/serviceAccounts/" + url.PathEscape(serviceAccount) + ":generateAccessToken"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return GCPToken{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	own.SetAuthHeader(req)
	var token GCPToken
	if _, err := exchange(g.client, "Google Cloud", req, &token); err != nil {
		return GCPToken{}, err
	}
	return token, nil
}

// maxAnswer is the most bytes of an answer that are read.
const maxAnswer = 4 << 20

// answerError is the answer of a system that did not do what it was asked.
type answerError struct {
	Status int
	Header http.Header
	Body   []byte
}

func (e *answerError) Error() string { return fmt.Sprintf("status %d: %.300q", e.Status, e.Body) }

// exchange sends a request and decodes the JSON of a successful answer into out, unless it is nil. An
// answer of another status is an error with an *answerError in it.
func exchange(client *http.Client, system string, req *http.Request, out any) (http.Header, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, refused(system, 0, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, refused(system, 0, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refused(system, resp.StatusCode, &answerError{resp.StatusCode, resp.Header, body})
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			return nil, refused(system, 0, errors.New("its answer is no JSON of the expected form"))
		}
	}
	return resp.Header, nil
}

// statusOf is the status of a system's answer, 0 when there was none.
func statusOf(err error) int {
	if answer, ok := errors.AsType[*answerError](err); ok {
		return answer.Status
	}
	return 0
}
