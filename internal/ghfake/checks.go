package ghfake

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake/form"
)

// checkSuite is what an App has to say of a revision.
type checkSuite struct {
	id            int64
	app           *App
	repo          *Repository
	branch, sha   string // branch "" for what came from a fork
	before        string
	rerequested   bool
	created, last time.Time
}

// checkRun is a check run.
type checkRun struct {
	id          int64
	suite       *checkSuite
	name        string
	external    string
	details     string
	status      string
	conclusion  string
	started     time.Time
	completed   time.Time
	output      obj
	annotations []any
	actions     []any
}

// CheckRun is a check run as people see it.
type CheckRun struct {
	ID                           int64
	Name, ExternalID, DetailsURL string
	HeadSHA, Status, Conclusion  string
	Title, Summary, Text         string
	Annotations                  int
	Actions                      []string // identifiers of the buttons; they show when the run is completed
	Started, Completed           time.Time
}

// openSuites makes the check suites of a new revision: one for each App that may write checks.
func (s *Server) openSuites(r *Repository, branch, before, after string, by *User) {
	for _, in := range s.installations {
		if !in.reaches(r) || !covers(in.app.Permissions["checks"], "write") {
			continue
		}
		suite, fresh := s.suite(in.app, r, branch, before, after)
		if fresh && slices.Contains(in.app.Events, "check_suite") {
			s.tellOne(in, r, "check_suite", "requested", by, obj{"check_suite": s.suiteJSON(suite)})
		}
	}
}

func (s *Server) suite(a *App, r *Repository, branch, before, sha string) (*checkSuite, bool) {
	for _, x := range s.suites {
		if x.app == a && x.repo == r && x.sha == sha {
			return x, false
		}
	}
	x := &checkSuite{id: s.nextID(), app: a, repo: r, branch: branch, before: before, sha: sha, created: s.Now(), last: s.Now()}
	s.suites = append(s.suites, x)
	return x, true
}

func (s *Server) runsOf(x *checkSuite) []*checkRun {
	var list []*checkRun
	for _, id := range slices.Sorted(maps.Keys(s.runs)) {
		if s.runs[id].suite == x {
			list = append(list, s.runs[id])
		}
	}
	return list
}

// severity orders conclusions: a suite has that of its worst run.
var severity = []string{"success", "neutral", "skipped", "stale", "cancelled", "timed_out", "action_required", "failure"}

// latest keeps, of runs with the same name, the newest.
func latest(list []*checkRun) []*checkRun {
	newest := map[string]*checkRun{}
	for _, r := range list {
		newest[r.name] = r
	}
	return slices.DeleteFunc(slices.Clone(list), func(r *checkRun) bool { return newest[r.name] != r })
}

func (s *Server) rollup(x *checkSuite) (status string, conclusion any) {
	runs := latest(s.runsOf(x))
	if len(runs) == 0 || x.rerequested {
		return "queued", nil
	}
	worst, status := -1, "completed"
	for _, r := range runs {
		if r.status != "completed" {
			status = "in_progress"
		}
		worst = max(worst, slices.Index(severity, r.conclusion))
	}
	if status != "completed" {
		return status, nil
	}
	return status, severity[worst]
}

func (s *Server) suiteJSON(x *checkSuite) obj {
	status, conclusion := s.rollup(x)
	api := s.APIURL() + "repos/" + x.repo.FullName()
	o := obj{
		"id": x.id, "node_id": nodeID("CheckSuite", x.id), "head_branch": nil, "head_sha": x.sha, "status": status, "conclusion": conclusion,
		"url": api + "/check-suites/" + strconv.FormatInt(x.id, 10), "before": orZeros(x.before), "after": x.sha, "pull_requests": s.pullsAt(x), "app": s.appJSON(x.app),
		"created_at": stamp(x.created), "updated_at": stamp(x.last), "latest_check_runs_count": len(latest(s.runsOf(x))),
		"check_runs_url": api + "/check-suites/" + strconv.FormatInt(x.id, 10) + "/check-runs", "rerequestable": true, "runs_rerequestable": true,
	}
	if x.branch != "" {
		o["head_branch"] = x.branch
	}
	return o
}

// pullsAt are the pull requests of the same repository at the suite's revision; those from forks are left out, as
// GitHub does.
func (s *Server) pullsAt(x *checkSuite) []any {
	out := []any{}
	for _, n := range slices.Sorted(maps.Keys(x.repo.pulls)) {
		p := x.repo.pulls[n]
		if p.from == x.repo && p.head == x.sha && p.state == "open" {
			side := func(ref, sha string) obj {
				return obj{"ref": ref, "sha": sha, "repo": obj{"id": x.repo.ID, "name": x.repo.Name, "url": s.APIURL() + "repos/" + x.repo.FullName()}}
			}
			out = append(out, obj{"id": p.id, "number": p.Number, "url": s.APIURL() + "repos/" + x.repo.FullName() + "/pulls/" + strconv.Itoa(n),
				"head": side(p.branch, p.head), "base": side(p.base, p.baseAt)})
		}
	}
	return out
}

func (s *Server) runJSON(r *checkRun) obj {
	x := r.suite
	api := s.APIURL() + "repos/" + x.repo.FullName() + "/check-runs/" + strconv.FormatInt(r.id, 10)
	html := fmt.Sprintf("%s/%s/runs/%d", s.root, x.repo.FullName(), r.id)
	suite := s.suiteJSON(x)
	delete(suite, "check_runs_url")
	delete(suite, "latest_check_runs_count")
	delete(suite, "rerequestable")
	delete(suite, "runs_rerequestable")
	o := obj{
		"id": r.id, "node_id": nodeID("CheckRun", r.id), "name": r.name, "head_sha": x.sha, "external_id": r.external, "url": api, "html_url": html,
		"details_url": r.details, "status": r.status, "conclusion": nil, "started_at": stamp(r.started), "completed_at": stamp(r.completed),
		"check_suite": suite, "app": s.appJSON(x.app), "pull_requests": s.pullsAt(x),
		"output": obj{"title": nil, "summary": nil, "text": nil, "annotations_count": len(r.annotations), "annotations_url": api + "/annotations"},
	}
	if r.conclusion != "" {
		o["conclusion"] = r.conclusion
	}
	if out, ok := o["output"].(obj); ok {
		for _, key := range []string{"title", "summary", "text"} {
			if v, there := r.output[key]; there {
				out[key] = v
			}
		}
	}
	return o
}

func (c *call) createCheckRun() (any, error) {
	sha := c.text("head_sha")
	if c.repo.git.Resolve(sha) != sha || sha == "" {
		return nil, invalid("No commit found for SHA: %s", sha)
	}
	x, _ := c.s.suite(c.token.installation.app, c.repo, "", "", sha)
	x.rerequested = false
	r := &checkRun{id: c.s.nextID(), suite: x, name: c.text("name"), status: "queued", details: c.s.root, started: c.s.Now()}
	if err := c.apply(r); err != nil {
		return nil, err
	}
	c.s.runs[r.id] = r
	c.forgetOldest(r)
	c.tellRun(r, "created", c.token.installation.app.bot, nil)
	if r.status == "completed" {
		c.tellRun(r, "completed", c.token.installation.app.bot, nil)
	}
	c.status = http.StatusCreated
	return c.s.runJSON(r), nil
}

// forgetOldest keeps a thousand runs of one name in a suite.
func (c *call) forgetOldest(r *checkRun) {
	var same []*checkRun
	for _, other := range c.s.runsOf(r.suite) {
		if other.name == r.name {
			same = append(same, other)
		}
	}
	if len(same) > 1000 {
		delete(c.s.runs, same[0].id)
	}
}

// apply writes what the body says into a run.
func (c *call) apply(r *checkRun) error {
	before := r.status
	for key, into := range map[string]*string{"name": &r.name, "details_url": &r.details, "external_id": &r.external, "status": &r.status} {
		if v, there := c.body[key].(string); there {
			*into = v
		}
	}
	if r.name == "" {
		return invalid("Invalid request.\n\nFor 'name', \"\" is too short.")
	}
	if v := c.text("conclusion"); v != "" {
		r.conclusion, r.status = v, "completed"
	}
	if before == "completed" && r.status != "completed" {
		return invalid("Invalid request.\n\nA completed check run cannot go back to %s.", r.status)
	}
	if r.status == "completed" && r.conclusion == "" {
		return invalid("Invalid request.\n\nMissing required key `conclusion` for a completed check run.")
	}
	for key, into := range map[string]*time.Time{"started_at": &r.started, "completed_at": &r.completed} {
		if v := c.text(key); v != "" {
			t, err := time.Parse(time.RFC3339, v)
			if err != nil {
				return invalid("Invalid request.\n\n%q is not a valid date-time.", v)
			}
			*into = t
		}
	}
	if r.status == "completed" && r.completed.IsZero() {
		r.completed = c.s.Now()
	}
	if problem := form.Output(c.body); problem != "" {
		return invalid("Invalid request.\n\n%s", problem)
	}
	if out, ok := c.body["output"].(obj); ok {
		r.output = out
		if list, ok := out["annotations"].([]any); ok {
			r.annotations = append(r.annotations, list...)
		}
	}
	if list, ok := c.body["actions"].([]any); ok {
		r.actions = list
	}
	r.suite.last = c.s.Now()
	return nil
}

func (c *call) run() (*checkRun, error) {
	r := c.s.runs[c.pathID("id")]
	if r == nil || r.suite.repo != c.repo {
		return nil, notFound()
	}
	return r, nil
}

func (c *call) getCheckRun() (any, error) {
	r, err := c.run()
	if err != nil {
		return nil, err
	}
	return c.s.runJSON(r), nil
}

func (c *call) updateCheckRun() (any, error) {
	r, err := c.run()
	if err != nil {
		return nil, err
	}
	if r.suite.app != c.token.installation.app {
		return nil, &apiError{Status: http.StatusForbidden, Message: "Invalid app_id `" + strconv.FormatInt(c.token.installation.app.ID, 10) + "` - check run can only be modified by the GitHub App that created it."}
	}
	before := *r
	if err := c.apply(r); err != nil {
		*r = before
		return nil, err
	}
	if before.status != "completed" && r.status == "completed" {
		c.tellRun(r, "completed", r.suite.app.bot, nil)
	}
	return c.s.runJSON(r), nil
}

func (c *call) tellRun(r *checkRun, action string, by *User, rest obj) {
	c.s.tellRun(r, action, by, rest)
}

func (s *Server) tellRun(r *checkRun, action string, by *User, rest obj) {
	body := obj{"check_run": s.runJSON(r)}
	maps.Copy(body, rest)
	for _, in := range s.installations {
		mine := in.app == r.suite.app || action == "created" || action == "completed"
		if mine && in.reaches(r.suite.repo) && slices.Contains(in.app.Events, "check_run") {
			s.tellOne(in, r.suite.repo, "check_run", action, by, body)
		}
	}
}

func (c *call) annotations() (any, error) {
	r, err := c.run()
	if err != nil {
		return nil, err
	}
	return each(page(c, r.annotations), func(v any) any {
		o := obj{"start_column": nil, "end_column": nil, "title": nil, "raw_details": nil}
		if given, ok := v.(obj); ok {
			maps.Copy(o, given)
			o["blob_href"] = fmt.Sprintf("%s/%s/blob/%s/%v", c.s.root, c.repo.FullName(), r.suite.sha, given["path"])
		}
		return o
	}), nil
}

func (c *call) rerequestRun() (any, error) {
	r, err := c.run()
	if err != nil {
		return nil, err
	}
	r.suite.rerequested = true
	c.tellRun(r, "rerequested", c.token.installation.app.bot, nil)
	c.status = http.StatusCreated
	return obj{}, nil
}

func (c *call) suiteOfPath() (*checkSuite, error) {
	for _, x := range c.s.suites {
		if x.id == c.pathID("id") && x.repo == c.repo {
			return x, nil
		}
	}
	return nil, notFound()
}

func (c *call) getSuite() (any, error) {
	x, err := c.suiteOfPath()
	if err != nil {
		return nil, err
	}
	return c.wholeSuite(x), nil
}

// wholeSuite is a suite as the API shows it by itself.
func (c *call) wholeSuite(x *checkSuite) any {
	o := c.s.suiteJSON(x)
	o["repository"] = c.s.repoJSON(c.repo)
	if list, err := c.repo.git.Log(1, x.sha); err == nil && len(list) > 0 {
		g := list[0]
		o["head_commit"] = obj{
			"id": g.SHA, "tree_id": g.Tree, "message": g.Message, "timestamp": stamp(g.Date),
			"author": obj{"name": g.Name, "email": g.Email}, "committer": obj{"name": g.Committer, "email": g.CommitterEmail},
		}
	}
	return o
}

func (c *call) rerequestSuite() (any, error) {
	x, err := c.suiteOfPath()
	if err != nil {
		return nil, err
	}
	x.rerequested = true
	c.s.tellSuite(x, c.token.installation.app.bot)
	c.status = http.StatusCreated
	return obj{}, nil
}

func (s *Server) tellSuite(x *checkSuite, by *User) {
	for _, in := range s.installations {
		if in.app == x.app && in.reaches(x.repo) {
			s.tellOne(in, x.repo, "check_suite", "rerequested", by, obj{"check_suite": s.suiteJSON(x)})
		}
	}
}

func (c *call) suitesAt(sha string) []*checkSuite {
	var list []*checkSuite
	app := c.r.URL.Query().Get("app_id")
	for _, x := range c.s.suites {
		if x.repo == c.repo && x.sha == sha && (app == "" || app == strconv.FormatInt(x.app.ID, 10)) {
			list = append(list, x)
		}
	}
	return list
}

func (c *call) suitesOfRef() (any, error) {
	list := c.suitesAt(c.repo.git.Resolve(c.r.PathValue("ref")))
	return obj{"total_count": len(list), "check_suites": each(page(c, list), c.wholeSuite)}, nil
}

func (c *call) showRuns(suites []*checkSuite) (any, error) {
	q := c.r.URL.Query()
	var list []*checkRun
	for _, x := range suites {
		runs := c.s.runsOf(x)
		if q.Get("filter") != "all" {
			runs = latest(runs)
		}
		list = append(list, runs...)
	}
	list = slices.DeleteFunc(list, func(r *checkRun) bool {
		return q.Get("check_name") != "" && r.name != q.Get("check_name") || q.Get("status") != "" && r.status != q.Get("status")
	})
	return obj{"total_count": len(list), "check_runs": each(page(c, list), func(r *checkRun) any { return c.s.runJSON(r) })}, nil
}

func (c *call) runsOfRef() (any, error) {
	return c.showRuns(c.suitesAt(c.repo.git.Resolve(c.r.PathValue("ref"))))
}

func (c *call) runsOfSuite() (any, error) {
	x, err := c.suiteOfPath()
	if err != nil {
		return nil, err
	}
	return c.showRuns([]*checkSuite{x})
}

// CheckRuns returns all check runs at a revision, oldest first.
func (r *Repository) CheckRuns(sha string) []CheckRun {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []CheckRun
	for _, id := range slices.Sorted(maps.Keys(s.runs)) {
		if x := s.runs[id]; x.suite.repo == r && x.suite.sha == sha {
			out = append(out, x.show())
		}
	}
	return out
}

func (r *checkRun) show() CheckRun {
	text := func(key string) string { s, _ := r.output[key].(string); return s }
	c := CheckRun{
		ID: r.id, Name: r.name, ExternalID: r.external, DetailsURL: r.details, HeadSHA: r.suite.sha, Status: r.status, Conclusion: r.conclusion,
		Title: text("title"), Summary: text("summary"), Text: text("text"), Annotations: len(r.annotations), Started: r.started, Completed: r.completed,
	}
	for _, a := range r.actions {
		if o, ok := a.(obj); ok && r.status == "completed" {
			id, _ := o["identifier"].(string)
			c.Actions = append(c.Actions, id)
		}
	}
	return c
}

// ClickAction presses a button of a completed check run: check_run.requested_action. The page shows buttons to people
// with write access only; the double sends whoever it is told, as a replay would.
func (s *Server) ClickAction(login string, run int64, identifier string) error {
	return s.pressRun(login, run, "requested_action", obj{"requested_action": obj{"identifier": identifier}})
}

// Rerequest presses Re-run of a check run: check_run.rerequested.
func (s *Server) Rerequest(login string, run int64) error {
	return s.pressRun(login, run, "rerequested", nil)
}

func (s *Server) pressRun(login string, run int64, action string, rest obj) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[run]
	if r == nil {
		return fmt.Errorf("ghfake: there is no check run %d", run)
	}
	if action == "rerequested" {
		r.suite.rerequested = true
	}
	s.tellRun(r, action, s.addUser(login, "User"), rest)
	return nil
}

// RerequestSuite presses Re-run all checks of an App at a revision: check_suite.rerequested.
func (r *Repository) RerequestSuite(login string, a *App, sha string) error {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.suites {
		if x.app == a && x.repo == r && strings.EqualFold(x.sha, sha) {
			x.rerequested = true
			s.tellSuite(x, s.addUser(login, "User"))
			return nil
		}
	}
	return fmt.Errorf("ghfake: there is no check suite at %s", sha)
}
