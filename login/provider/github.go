package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/treeline-ci/treeline/internal/fault"
)

// GitHubConfig says how people sign in at GitHub or at a GitHub Enterprise Server.
type GitHubConfig struct {
	Name         string // begins identities; github unless there are several
	URL          string // of the site; default https://github.com
	API          string // default https://api.github.com, or URL/api/v3 for another site
	ClientID     string
	ClientSecret string
}

// GitHub is a sign-in by GitHub's OAuth. Roles are the teams a person is in, and the organizations they
// administer; the permission asked for is read:org.
type GitHub struct {
	config GitHubConfig
	oauth  oauth2.Config
	http   *http.Client
}

// NewGitHub returns the provider without asking it anything.
func NewGitHub(c GitHubConfig) *GitHub {
	const site, api = "https://github.com", "https://api.github.com"
	c.URL = strings.TrimSuffix(cmp.Or(c.URL, site), "/")
	if c.API == "" {
		c.API = api
		if c.URL != site {
			c.API = c.URL + "/api/v3"
		}
	}
	c.API = strings.TrimSuffix(c.API, "/")
	return &GitHub{config: c, http: newClient(), oauth: oauth2.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, Scopes: []string{"read:org"},
		Endpoint: oauth2.Endpoint{AuthURL: c.URL + "/login/oauth/authorize", TokenURL: c.URL + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams},
	}}
}

// RolePrefixes implements Provider.
func (p *GitHub) RolePrefixes() []string { return []string{p.role("team"), p.role("org-admin")} }

// role begins roles of a kind: github-team: and github-org-admin:.
func (p *GitHub) role(kind string) string { return p.config.Name + "-" + kind + ":" }

// Begin implements Provider.
func (p *GitHub) Begin(_ context.Context, f Flow) (string, error) {
	c := p.oauth
	c.RedirectURL = f.Callback
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier)}
	if f.Again {
		// GitHub cannot be told to ask for the password. The person has to choose an account, at least.
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	return c.AuthCodeURL(f.State, options...), nil
}

// Finish implements Provider.
func (p *GitHub) Finish(ctx context.Context, f Flow, q url.Values) (Person, error) {
	if err := declined(p.config.Name, q); err != nil {
		return Person{}, err
	}
	c := p.oauth
	c.RedirectURL = f.Callback
	// GitHub answers mistakes with status 200 and an error in the body, which the library knows.
	token, err := c.Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.http), q.Get("code"), oauth2.VerifierOption(f.Verifier))
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && (e.ErrorCode == "bad_verification_code" || e.ErrorCode == "redirect_uri_mismatch") {
		return Person{}, fault.New(fault.Unauthenticated, "%s does not accept this sign-in; begin again.", p.config.Name)
	} else if ok && e.ErrorCode != "" {
		return Person{}, fault.Wrap(fault.Unavailable, fmt.Errorf("%s answers %.80q", p.config.Name, e.ErrorCode), "%s refuses this server; its configuration must be looked at.", p.config.Name)
	}
	if err != nil {
		return Person{}, unreachable(p.config.Name, err)
	}
	return p.person(ctx, token.AccessToken, 0)
}

// githubGrant is what Renew needs: GitHub's token, which lives until it is withdrawn.
type githubGrant struct {
	Token string `json:"token"`
	ID    int64  `json:"id"`
}

// Renew implements Provider.
func (p *GitHub) Renew(ctx context.Context, kept []byte) (Person, error) {
	var g githubGrant
	if err := json.Unmarshal(kept, &g); err != nil || g.Token == "" || g.ID == 0 {
		return Person{}, fmt.Errorf("login: %s: the grant is damaged: %w", p.config.Name, ErrGone)
	}
	return p.person(ctx, g.Token, g.ID)
}

// person asks GitHub whose a token is, and which teams and organizations are theirs. want is the id
// that it must be, 0 for anybody's.
func (p *GitHub) person(ctx context.Context, token string, want int64) (Person, error) {
	var user struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
	}
	if _, err := p.get(ctx, token, p.config.API+"/user", &user); err != nil {
		return Person{}, err
	}
	if user.ID == 0 || user.Login == "" || want != 0 && want != user.ID {
		return Person{}, fmt.Errorf("login: %s: the token belongs to somebody else: %w", p.config.Name, ErrGone)
	}
	groups, err := p.teams(ctx, token)
	if err != nil {
		return Person{}, err
	}
	admin, err := p.administered(ctx, token)
	if err != nil {
		return Person{}, err
	}
	kept, err := json.Marshal(githubGrant{token, user.ID})
	if err != nil {
		return Person{}, fmt.Errorf("login: %s: keep the grant: %w", p.config.Name, err)
	}
	subject := strconv.FormatInt(user.ID, 10)
	all := append(roles(groups, func(g string) string { return p.role("team") + g }), roles(admin, func(o string) string { return p.role("org-admin") + o })...)
	return Person{Subject: subject, Name: user.Login, Identity: identity(p.config.Name, subject, user.Login), Roles: all, Grant: kept}, nil
}

func (p *GitHub) teams(ctx context.Context, token string) ([]string, error) {
	type team struct {
		Slug         string `json:"slug"`
		Organization struct {
			Login string `json:"login"`
		} `json:"organization"`
	}
	list, err := pages[team](ctx, p, token, "/user/teams?per_page=100")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range list {
		if t.Slug != "" && t.Organization.Login != "" {
			out = append(out, t.Organization.Login+"/"+t.Slug)
		}
	}
	return out, nil
}

// administered returns the organizations whose owner the person is; an invitation does not count.
func (p *GitHub) administered(ctx context.Context, token string) ([]string, error) {
	type membership struct {
		State        string `json:"state"`
		Role         string `json:"role"`
		Organization struct {
			Login string `json:"login"`
		} `json:"organization"`
	}
	list, err := pages[membership](ctx, p, token, "/user/memberships/orgs?state=active&per_page=100")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range list {
		if m.State == "active" && m.Role == "admin" {
			out = append(out, m.Organization.Login)
		}
	}
	return out, nil
}

// maxPages bounds how long a list may be; a person in 5,000 teams is none.
const maxPages = 50

// pages reads a whole list. The next page is where GitHub says it is, if that is at GitHub.
func pages[T any](ctx context.Context, p *GitHub, token, path string) ([]T, error) {
	var all []T
	next := p.config.API + path
	for range maxPages {
		var part []T
		link, err := p.get(ctx, token, next, &part)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if link == "" {
			return all, nil
		}
		if !strings.HasPrefix(link, p.config.API+"/") {
			return nil, fault.New(fault.Unavailable, "%s sends this server elsewhere for the rest of a list.", p.config.Name)
		}
		next = link
	}
	return nil, fault.New(fault.Unavailable, "%s sends a list of more than %d pages.", p.config.Name, maxPages)
}

// get asks for one answer and returns the address of the next page, "" on the last.
func (p *GitHub) get(ctx context.Context, token, address string, into any) (next string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fmt.Errorf("login: %s: %w", p.config.Name, err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/vnd.github+json")
	r.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	answer, err := p.http.Do(r)
	if err != nil {
		return "", unreachable(p.config.Name, err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusUnauthorized:
		return "", fault.Wrap(fault.Unauthenticated, ErrGone, "%s does not know this sign-in any more; sign in again.", p.config.Name)
	case answer.StatusCode != http.StatusOK:
		return "", fault.Wrap(fault.Unavailable, fmt.Errorf("%s answers %s", address, answer.Status), "%s cannot be asked at the moment; try again.", p.config.Name)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(into); err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "The answer of %s cannot be read.", p.config.Name)
	}
	return nextPage(answer.Header.Values("Link")), nil
}

// nextPage reads the address that a Link header (RFC 8288) calls next.
func nextPage(links []string) string {
	for _, link := range strings.Split(strings.Join(links, ","), ",") {
		address, params, ok := strings.Cut(link, ">")
		if ok && strings.Contains(params, `rel="next"`) {
			return strings.TrimPrefix(strings.TrimSpace(address), "<")
		}
	}
	return ""
}
