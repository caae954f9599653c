package checks

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// head is a revision that is looked at.
type head struct {
	*Checks
	tx  pgx.Tx
	id  int64 // the repository's
	sha string

	repository   string
	installation int64
	builds       []*member       // all of them: the check runs of their tasks go on
	members      []*member       // what counts
	known        map[string]row  // the last attempts that there are, by kind and subject
	wanted       map[string]bool // of those, what is still wanted
	names        map[string]bool // of check runs

	tasks   int
	open    bool
	changed bool
}

// member is a build, or a verdict, at the revision.
type member struct {
	Group     string    `db:"task_group_id"` // "" for a verdict
	Event     string    `db:"event_type"`
	Pull      int       `db:"pull_number"`
	Delivery  int64     `db:"delivery"`
	State     string    `db:"state"` // of the build
	Kind      string    `db:"kind"`  // of the verdict
	Source    string    `db:"source"`
	Reporting Reporting `db:"reporting"`
	Verdict   []byte    `db:"verdict"` // of the verdict; what is wrong with the tree of a build
	Created   time.Time `db:"created"`
	Young     bool      `db:"young"` // its tasks may be in the making

	counts queue.Counts
	total  int
	items  []queue.Item // nil when there are too many to look at
	stuck  bool         // what they wait for will not come
	state  State
}

// Source names what happened, so that of two builds or verdicts of the same the newer counts: a new revision of a pull
// request counts as opening it.
func Source(eventType string, pull int) string {
	switch eventType {
	case "pull_request.opened", "pull_request.synchronize", "pull_request.reopened", "pull_request.ready_for_review", "pull_request.edited":
		eventType = "pull_request"
	}
	return fmt.Sprintf("%s/%d", eventType, pull)
}

// look finds what GitHub is to show at the revision, and writes it down where it is not so yet.
func (h *head) look(ctx context.Context) error {
	err := h.tx.QueryRow(ctx, headSQL.Text, h.id).Scan(&h.repository, &h.installation)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // the App does not reach it
	}
	if err != nil {
		return err
	}
	if err := h.read(ctx); err != nil {
		return err
	}
	for _, m := range slices.Concat(h.builds, h.members) {
		if m.state.Status == "" {
			if err := h.count(ctx, m); err != nil {
				return err
			}
		}
	}
	aggregates := map[string][]*member{}
	for _, m := range h.members {
		if m.Reporting.Checks {
			aggregates[m.Reporting.Name] = append(aggregates[m.Reporting.Name], m)
			h.names[m.Reporting.Name] = true
		}
	}
	for name, members := range aggregates {
		if err := h.aggregate(ctx, name, members); err != nil {
			return err
		}
	}
	if err := h.statuses(ctx); err != nil {
		return err
	}
	for _, m := range h.builds {
		if !m.Reporting.Checks {
			continue
		}
		if err := h.tasksOf(ctx, m); err != nil {
			return err
		}
	}
	return h.endOthers(ctx)
}

// read reads builds, verdicts and rows.
func (h *head) read(ctx context.Context) error {
	rows, err := h.tx.Query(ctx, membersSQL.Text, h.id, h.sha)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[member])
	if err != nil {
		return err
	}
	newest := map[string]*member{}
	built := false
	for _, m := range list { // in the order of deliveries
		if m.Group != "" {
			m.Source, built = Source(m.Event, m.Pull), true
			h.builds = append(h.builds, m)
		}
		newest[m.Source] = m
		m.Reporting.Name = cmp.Or(m.Reporting.Name, DefaultName)
		m.Reporting.Context = cmp.Or(m.Reporting.Context, m.Reporting.Name)
	}
	for _, m := range list {
		// Where something is built, nobody need be told that something else was not.
		if newest[m.Source] == m && (m.Group != "" || m.Kind == Wrong || !built) {
			h.members = append(h.members, m)
		}
	}
	rows, err = h.tx.Query(ctx, headRowsSQL.Text, h.repository, h.sha)
	if err != nil {
		return err
	}
	existing, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return err
	}
	h.known, h.wanted, h.names = map[string]row{}, map[string]bool{}, map[string]bool{}
	for _, r := range existing {
		h.known[r.Kind+" "+r.check().subject()] = r
	}
	return nil
}

// DefaultName is what the aggregate is called where the file does not say.
const DefaultName = "Treeline"

// Bounds of what is told one by one.
const (
	oneByOne   = 50  // tasks that have a check run each
	grouped    = 500 // tasks that have one for their group
	mostGroups = 50
	mostFailed = 20 // failed tasks of groups with a check run of their own
	pageOfList = 1000
)

// count finds how the tasks of a member stand.
func (h *head) count(ctx context.Context, m *member) error {
	if m.Group == "" {
		return json.Unmarshal(m.Verdict, &m.state)
	}
	counts, err := h.Queue.GroupCounts(ctx, []string{m.Group})
	if err != nil {
		return err
	}
	m.counts = counts[m.Group]
	for _, n := range m.counts {
		m.total += n
	}
	h.tasks += m.total
	if m.total == 0 || m.total > grouped && m.going() {
		return h.judge(ctx, m)
	}
	for token := ""; ; {
		page, err := h.Queue.ListGroup(ctx, m.Group, pageOfList, token)
		if errors.Is(err, fault.NotFound) {
			break
		}
		if err != nil {
			return err
		}
		m.items = append(m.items, page.Tasks...)
		if token = page.Next; token == "" {
			break
		}
	}
	return h.judge(ctx, m)
}

// going reports whether anything may still happen by itself. What waits for tasks that failed does not.
func (m *member) going() bool {
	return m.counts[task.Pending]+m.counts[task.Running] > 0 || m.counts[task.Unscheduled] > 0 && m.bad() == 0 && !m.stuck
}

func (m *member) bad() int { return m.counts[task.Failed] + m.counts[task.Exception] }

// decision is the decision task, of which the group has the id; nil when there is none or it is not known.
func (m *member) decision() *queue.Item {
	for i := range m.items {
		if m.items[i].Status.TaskID == m.Group {
			return &m.items[i]
		}
	}
	return nil
}

// want writes a state down unless it stands there.
func (h *head) want(ctx context.Context, check Check, s State, tasks []Task) error {
	check.Repository, check.Installation, check.SHA = h.repository, h.installation, h.sha
	key := check.Kind + " " + check.subject()
	h.wanted[key] = true
	h.open = h.open || s.Status != Completed
	s = s.fit()
	if r, there := h.known[key]; there {
		was := State{}
		if err := json.Unmarshal(r.State, &was); err != nil {
			return fmt.Errorf("checks: row %d: %w", r.ID, err)
		}
		if r.Name == check.Name && r.TaskGroupID == check.TaskGroupID && (check.Attempt == 0 || check.Attempt == r.Attempt) && same(was, s) {
			return nil
		}
		check.ID = r.ID
	}
	h.changed = true
	if h.Offer != nil && s.Status == Completed && check.TaskGroupID != "" && check.Kind != status {
		actions, text, err := h.Offer(ctx, check, tasks)
		if err != nil {
			h.Log.WarnContext(ctx, "which buttons a check has is not known; it has none", "check", check.Name, "group", check.TaskGroupID, "err", err)
		} else {
			s.Actions = actions
			if text != "" {
				s.Text = strings.TrimSpace(cut(s.Text, maxText/2) + "\n\n" + text)
			}
		}
	}
	return h.Checks.want(ctx, h.tx, check, s)
}

// same reports whether a state stands there already, apart from what was offered with it.
func same(was, s State) bool {
	if s.Status == Completed {
		if !strings.HasPrefix(was.Text, strings.TrimSpace(s.Text)) {
			return false
		}
		was.Text, was.Actions = s.Text, s.Actions
	}
	x, errX := json.Marshal(was)
	y, errY := json.Marshal(s)
	return errX == nil && errY == nil && bytes.Equal(x, clean(y))
}

// statuses wants the commit statuses. What is told under one name is told together.
func (h *head) statuses(ctx context.Context) error {
	var names []string
	of := map[string][]*member{}
	for _, m := range h.members {
		if m.Reporting.NoStatuses || m.Kind == Refused { // people are told of the policy in a comment
			continue
		}
		name := m.Reporting.Context
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], m)
	}
	for _, name := range names {
		members := counting(of[name])
		s, newest := members[0].status(), members[len(members)-1]
		for _, m := range members[1:] {
			s = combine(s, m.status())
		}
		key := status + " " + name
		if _, told := h.known[key]; told && s.Status == Completed && newest.Group != "" && newest.total == 0 && newest.State != "cancelled" {
			h.wanted[key] = true
			continue // its tasks have expired
		}
		s = State{Status: s.Status, Conclusion: s.Conclusion, Title: s.Title, DetailsURL: s.DetailsURL}
		if s.Status == InProgress {
			s.Status = Queued // both are pending
		}
		if err := h.want(ctx, Check{Kind: status, Name: name, TaskGroupID: newest.Group, Attempt: 1}, s, nil); err != nil {
			return err
		}
	}
	return nil
}

// counting are the members that count: a build that another took the place of does not.
func counting(members []*member) []*member {
	if live := slices.DeleteFunc(slices.Clone(members), func(m *member) bool { return m.State == "cancelled" }); len(live) > 0 {
		return live
	}
	return members
}

// status is a member's commit status.
func (m *member) status() State {
	s := m.state
	if m.Group == "" {
		return s
	}
	s.Title, s.Status, s.Conclusion = m.verdict(), Completed, ""
	switch m.State {
	case "pending":
		s.Status = Queued
	case "success":
		s.Conclusion = Success
	case "failure":
		s.Conclusion = Failure
	default:
		s.Conclusion = Cancelled
	}
	return s
}

// verdict is a build's state in a few words, as its commit status has it. It changes when the state does, and no more
// often: a revision takes a thousand statuses.
func (m *member) verdict() string {
	switch bad := m.bad(); m.State {
	case "success":
		return fmt.Sprintf("all of %d tasks passed", m.total)
	case "cancelled":
		return "cancelled"
	case "failure":
		if bad == 0 {
			return "the decision failed"
		}
		if m.going() {
			return "tasks failed; others are at work"
		}
		return fmt.Sprintf("%d of %d tasks failed", bad, m.total)
	case "error":
		return "the build could not be made"
	}
	return "tasks are at work"
}

// endOthers ends what is on and nobody wants any more: what has vanished with its tasks, or goes by another name now.
func (h *head) endOthers(ctx context.Context) error {
	keys := make([]string, 0, len(h.known))
	for key, r := range h.known {
		if r.Open && !h.wanted[key] && r.Kind != GraphDiff {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		r := h.known[key]
		s, err := r.state()
		if err != nil {
			return err
		}
		s.Status, s.Conclusion, s.Title = Completed, Neutral, "It is not known any more how this ended"
		if r.Kind == Aggregate || r.Kind == status { // which a branch may require: what is not known to be well is not let through
			s.Conclusion = Cancelled
		}
		check := r.check()
		h.changed = true
		if err := h.Checks.want(ctx, h.tx, check, s); err != nil {
			return err
		}
	}
	return nil
}

var (
	headSQL = pg.Statement{Name: "checks.head", Text: `SELECT owner || '/' || repo, installation_id FROM github_repositories WHERE id = $1 AND enabled`}

	membersSQL = pg.Statement{Name: "checks.members", Text: `
		SELECT task_group_id, event_type, pull_number, delivery, state, '' AS kind, '' AS source, reporting, trouble AS verdict, created,
			created > clock_timestamp() - interval '1 hour' AS young
		FROM github_builds WHERE repository_id = $1 AND sha = $2
		UNION ALL
		SELECT '', '', 0, delivery, '', kind, source, reporting, verdict, created, true FROM github_verdicts WHERE repository_id = $1 AND sha = $2
		ORDER BY delivery, created`}

	headRowsSQL = pg.Statement{Name: "checks.head-rows", Text: `SELECT ` + rowColumns + ` FROM github_checks WHERE lower(repository) = lower($1) AND sha = $2 AND latest`}
)
