package ghpage

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake"
)

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// trouble causes faults of the API, or ends them.
func (s *Site) trouble(r *http.Request, _ Person) (string, error) {
	switch kind := r.PostFormValue("kind"); kind {
	case "outage":
		s.gh.Outage(r.PostFormValue("on") == "true")
	case "slow":
		s.gh.Slow(time.Duration(min(max(0, atoi(r.PostFormValue("seconds"))), 60)) * time.Second)
	case "limit":
		s.gh.SecondaryLimit(time.Duration(min(max(0, atoi(r.PostFormValue("seconds"))), 600))*time.Second, false)
	case "fail":
		s.gh.FailNext(3, http.StatusBadGateway)
	case "lose":
		s.gh.Deliveries(ghfake.Fail)
	case "deliver":
		s.gh.Deliveries(ghfake.Deliver)
	default:
		return "", problem{http.StatusUnprocessableEntity, "There is no trouble " + strconv.Quote(kind) + "."}
	}
	return r.PostFormValue("next"), nil
}

func (s *Site) redeliver(r *http.Request, _ Person) (string, error) {
	id, err := strconv.ParseInt(r.PostFormValue("id"), 10, 64)
	if err == nil {
		err = s.gh.Redeliver(id)
	}
	return "/", err
}

// commit writes a file: to a branch, to the branch of a pull request, or to a new one from which a pull request is
// opened. Who may not write does it in a fork.
func (s *Site) commit(r *http.Request, me Person) (string, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", err
	}
	file := cmp.Or(strings.TrimSpace(r.PostFormValue("file")), r.PathValue("rest"))
	if file == "" || strings.HasPrefix(file, "/") || slices.Contains(strings.Split(file, "/"), "..") || strings.ContainsAny(file, "\n\" ") {
		return "", problem{http.StatusUnprocessableEntity, "Give the path of a file, such as pages/index.md."}
	}
	change := ghfake.Change{Files: map[string]string{file: strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n")}, Message: cmp.Or(strings.TrimSpace(r.PostFormValue("message")), "Change "+file)}
	if r.PostFormValue("delete") != "" {
		change = ghfake.Change{Remove: []string{file}, Message: change.Message}
	}
	may := slices.Contains([]string{"admin", "maintain", "write"}, repo.Role(me.Login))
	if _, p := repo.Pull(atoi(r.PostFormValue("pull"))); p.Number > 0 {
		from := s.gh.Repository(p.From)
		if from == nil || !may && from.Role(me.Login) != "admin" {
			return "", problem{http.StatusForbidden, me.Login + " may not push to " + p.From + "."}
		}
		_, err := from.Push(me.Login, p.Branch, change)
		return fmt.Sprintf("/%s/pull/%d", repo.FullName(), p.Number), err
	}
	if r.PostFormValue("how") == "push" {
		if !may {
			return "", problem{http.StatusForbidden, me.Login + " may not push to " + repo.FullName() + "."}
		}
		sha, err := repo.Push(me.Login, cmp.Or(r.PostFormValue("ref"), repo.DefaultBranch()), change)
		return "/" + repo.FullName() + "/commit/" + sha, err
	}
	return s.propose(r, repo, me, may, change)
}

func (s *Site) propose(r *http.Request, repo *ghfake.Repository, me Person, may bool, change ghfake.Change) (string, error) {
	from := repo
	if !may {
		var err error
		if from, err = repo.ForkOf(me.Login); err != nil {
			return "", err
		}
	}
	branch := strings.TrimSpace(r.PostFormValue("branch"))
	if branch == "" || from.Head(branch) != "" {
		return "", problem{http.StatusUnprocessableEntity, "Give the name of a branch that is not there yet."}
	}
	if _, err := from.Push(me.Login, branch, change); err != nil {
		return "", err
	}
	p, err := repo.OpenPull(me.Login, from, branch, repo.DefaultBranch(), change.Message)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/%s/pull/%d", repo.FullName(), p.Number), nil
}

func key(repo *ghfake.Repository, number int) string {
	return repo.FullName() + "#" + strconv.Itoa(number)
}

func (s *Site) group(repo *ghfake.Repository, number int) *ghfake.MergeGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued[key(repo, number)]
}

func (s *Site) setGroup(repo *ghfake.Repository, number int, g *ghfake.MergeGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued[key(repo, number)] = g; g == nil {
		delete(s.queued, key(repo, number))
	}
}

// onPull does what the buttons of a pull request's page do.
func (s *Site) onPull(r *http.Request, me Person) (string, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", err
	}
	p, shown := repo.Pull(number(r))
	if p == nil {
		return "", errNothing
	}
	here := fmt.Sprintf("/%s/pull/%d", repo.FullName(), p.Number)
	does := r.PostFormValue("do")
	if does == "comment" {
		if text := strings.TrimSpace(r.PostFormValue("text")); text != "" {
			repo.Comment(me.Login, p.Number, text)
		}
		return here, nil
	}
	if !slices.Contains([]string{"admin", "maintain", "write"}, repo.Role(me.Login)) && (does != "close" && does != "reopen" && does != "draft" && does != "ready" || shown.Author != me.Login) {
		return "", problem{http.StatusForbidden, fmt.Sprintf("%s may not %s this pull request.", me.Login, does)}
	}
	switch does {
	case "close":
		p.Close(me.Login)
	case "reopen":
		p.Reopen(me.Login)
	case "draft", "ready":
		p.SetDraft(me.Login, does == "draft")
	case "label":
		p.Label(me.Login, cmp.Or(strings.TrimSpace(r.PostFormValue("text")), "label"))
	case "merge":
		_, err = p.Merge(me.Login)
	case "enqueue":
		var g *ghfake.MergeGroup
		if g, err = p.Enqueue(me.Login); err == nil {
			s.setGroup(repo, p.Number, g)
		}
	case "finish", "drop":
		if g := s.group(repo, p.Number); g != nil {
			s.setGroup(repo, p.Number, nil)
			err = g.Finish(me.Login, does == "finish")
		}
	default:
		err = problem{http.StatusUnprocessableEntity, "There is no button " + strconv.Quote(does) + "."}
	}
	return here, err
}

// press presses a button of a check run, or Re-run. GitHub offers neither to people who may not write; the double lets
// everybody press, so that what an App answers to that can be seen.
func (s *Site) press(r *http.Request, me Person) (string, error) {
	run, err := strconv.ParseInt(r.PathValue("run"), 10, 64)
	if err != nil {
		return "", errNothing
	}
	if r.PostFormValue("do") == "rerun" {
		err = s.gh.Rerequest(me.Login, run)
	} else {
		err = s.gh.ClickAction(me.Login, run, r.PostFormValue("action"))
	}
	return r.PostFormValue("next"), err
}

// pressAll presses "Re-run all checks" of each App.
func (s *Site) pressAll(r *http.Request, me Person) (string, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", err
	}
	found := problem{http.StatusUnprocessableEntity, "No App has checks at this revision."}
	for _, a := range s.gh.Apps() {
		if repo.RerequestSuite(me.Login, a, r.PathValue("sha")) == nil {
			return r.PostFormValue("next"), nil
		}
	}
	return "", found
}

// makeRef makes a tag or a release.
func (s *Site) makeRef(r *http.Request, me Person) (string, error) {
	repo, err := s.repo(r)
	if err != nil {
		return "", err
	}
	if !slices.Contains([]string{"admin", "maintain", "write"}, repo.Role(me.Login)) {
		return "", problem{http.StatusForbidden, me.Login + " may not make tags in " + repo.FullName() + "."}
	}
	name := strings.TrimSpace(r.PostFormValue("name"))
	if name == "" || strings.ContainsAny(name, " \t\n~^:?*[\\") {
		return "", problem{http.StatusUnprocessableEntity, "Give the name of a tag, such as v1.0."}
	}
	if r.PostFormValue("do") == "release" {
		_, err = repo.Release(me.Login, name, repo.DefaultBranch())
	} else {
		err = repo.Tag(me.Login, name, repo.DefaultBranch())
	}
	return "/" + repo.FullName() + "/commit/" + url.PathEscape(repo.Head(repo.DefaultBranch())), err
}
