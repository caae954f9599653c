package github

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// The parts of webhooks that are looked at. Every name of an action, state or conclusion is taken as it comes: GitHub
// adds to them. What people's files see is the whole body.

type person struct {
	Login string `json:"login"`
	Name  string `json:"name"` // of an owner, in push
	ID    int64  `json:"id"`
	Type  string `json:"type"`
}

func (p person) login() string {
	if p.Login != "" {
		return p.Login
	}
	return p.Name
}

// email is an address for a login: that of the person is nobody's business.
func (p person) email() string {
	return strings.TrimSuffix(p.login(), "[bot]") + "@users.noreply.github.com"
}

type repoPayload struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	FullName      string `json:"full_name"`
	Owner         person `json:"owner"`
	DefaultBranch string `json:"default_branch"`
	CloneURL      string `json:"clone_url"`
	Archived      bool   `json:"archived"`
}

type installationPayload struct {
	ID          int64           `json:"id"`
	Account     person          `json:"account"`
	Permissions json.RawMessage `json:"permissions"`
}

type commitPayload struct {
	ID        string    `json:"id"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	Author    struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"author"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
}

type sidePayload struct {
	Ref  string       `json:"ref"`
	SHA  string       `json:"sha"`
	User *person      `json:"user"`
	Repo *repoPayload `json:"repo"` // null when the fork was deleted
}

type pullPayload struct {
	Number int         `json:"number"`
	State  string      `json:"state"`
	Title  string      `json:"title"`
	User   person      `json:"user"`
	Merged bool        `json:"merged"`
	Head   sidePayload `json:"head"`
	Base   sidePayload `json:"base"`
}

type appPayload struct {
	ID   int64  `json:"id"`
	Slug string `json:"slug"`
}

type payload struct {
	Action       string              `json:"action"`
	Installation installationPayload `json:"installation"`
	Repository   repoPayload         `json:"repository"`
	Sender       person              `json:"sender"`

	// push, create, delete
	Ref        string          `json:"ref"`
	RefType    string          `json:"ref_type"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	Created    bool            `json:"created"`
	Deleted    bool            `json:"deleted"`
	Forced     bool            `json:"forced"`
	Commits    []commitPayload `json:"commits"`
	HeadCommit *commitPayload  `json:"head_commit"`
	Pusher     struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	} `json:"pusher"`

	Number      int             `json:"number"`
	PullRequest pullPayload     `json:"pull_request"`
	Changes     json.RawMessage `json:"changes"`

	Issue struct {
		Number      int             `json:"number"`
		State       string          `json:"state"`
		PullRequest json.RawMessage `json:"pull_request"`
	} `json:"issue"`
	Comment struct {
		ID   int64  `json:"id"`
		Body string `json:"body"`
		User person `json:"user"`

		Created time.Time `json:"created_at"`
		Updated time.Time `json:"updated_at"`
	} `json:"comment"`

	CheckRun struct {
		ID         int64      `json:"id"`
		HeadSHA    string     `json:"head_sha"`
		App        appPayload `json:"app"`
		CheckSuite struct {
			ID int64 `json:"id"`
		} `json:"check_suite"`
	} `json:"check_run"`
	CheckSuite struct {
		ID      int64      `json:"id"`
		HeadSHA string     `json:"head_sha"`
		App     appPayload `json:"app"`
	} `json:"check_suite"`
	RequestedAction struct {
		Identifier string `json:"identifier"`
	} `json:"requested_action"`

	Release struct {
		TagName         string `json:"tag_name"`
		TargetCommitish string `json:"target_commitish"`
	} `json:"release"`

	MergeGroup struct {
		HeadSHA    string        `json:"head_sha"`
		HeadRef    string        `json:"head_ref"`
		BaseSHA    string        `json:"base_sha"`
		BaseRef    string        `json:"base_ref"`
		HeadCommit commitPayload `json:"head_commit"`
	} `json:"merge_group"`
	Reason string `json:"reason"`

	Added   []repoPayload `json:"repositories_added"`
	Removed []repoPayload `json:"repositories_removed"`
}

// readPayload reads a body: the parts that are looked at, and all of it.
func readPayload(d delivery) (payload, map[string]any, error) {
	var whole map[string]any
	if err := json.Unmarshal(d.Body, &whole); err != nil {
		return payload{}, nil, fmt.Errorf("github: the body of %s is no JSON object: %w: %w", d.Event, err, errNever)
	}
	var p payload
	if err := json.Unmarshal(d.Body, &p); err != nil {
		return p, whole, fmt.Errorf("github: the body of %s is not of the form that is known: %w: %w", d.Event, err, errNever)
	}
	return p, whole, nil
}

const zeros = "0000000000000000000000000000000000000000"

// skips reports whether a text asks for nothing to be done.
func skips(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "[skip ci]") || strings.Contains(text, "[ci skip]")
}

// maxFiles is how many changed files are kept of a change.
const maxFiles = 20_000

// filesOf are the files that commits touch.
func filesOf(commits []commitPayload) []string {
	seen, out := map[string]bool{}, []string{}
	for _, c := range commits {
		for _, list := range [][]string{c.Added, c.Removed, c.Modified} {
			for _, name := range list {
				if !seen[name] && len(out) < maxFiles {
					seen[name] = true
					out = append(out, name)
				}
			}
		}
	}
	return out
}
