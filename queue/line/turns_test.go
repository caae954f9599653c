package line_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/queue/line"
)

var row = line.Line{Queue: "q", Priority: 1}

func in(group string) line.Share { return line.Share{Line: row, Group: group} }

// model is a line as the database has it, and the memory of the one process that serves it.
type model struct {
	turns   line.Turns
	now     time.Time
	weights map[string]int
	waiting []*waiting // in the order of claims
	entered int
}

type waiting struct {
	group   string
	turn    int64
	entered int // how many had entered before
	behind  int // how many of its group waited when it entered
	before  int // claimed since
}

func newModel() *model {
	return &model{now: time.Unix(1000, 0), weights: map[string]int{}}
}

// look does what the statement does.
func (m *model) look(group string) {
	f := line.Found{Share: in(group), Weight: m.weights[group]}
	for _, w := range m.waiting {
		if f.Head == 0 {
			f.Head = w.turn
		}
		if w.group == group {
			f.Last = w.turn
		}
	}
	m.turns.Learn(m.now, []line.Found{f})
}

// enter puts n tasks of the group in line, in one transaction.
func (m *model) enter(group string, n int) {
	if len(m.turns.Unknown(m.now, []line.Share{in(group)})) > 0 {
		m.look(group)
	}
	turns, hand := m.turns.Deal(m.now, slices.Repeat([]line.Want{{Share: in(group)}}, n))
	hand.Done(true)
	behind := 0
	for _, o := range m.waiting {
		if o.group == group {
			behind++
		}
	}
	for _, turn := range turns {
		w := &waiting{group: group, turn: turn, entered: m.entered, behind: behind}
		behind++
		m.entered++
		m.waiting = append(m.waiting, w)
	}
	slices.SortStableFunc(m.waiting, func(a, b *waiting) int { return int(a.turn - b.turn) })
}

func (m *model) claim() *waiting {
	if len(m.waiting) == 0 {
		return nil
	}
	w := m.waiting[0]
	m.waiting = m.waiting[1:]
	m.turns.Served("q", []line.Place{{Priority: 1, Seq: w.turn}})
	for _, o := range m.waiting {
		o.before++
	}
	return w
}

// limit is the bound of docs/explanation/fairness.md: with k-1 of its own group before it, a task
// waits for those, and for each other group that has tasks in line meanwhile, k times that group's
// weight by its own, rounded down, and one.
func (m *model) limit(w *waiting, others map[string]bool) int {
	k := w.behind + 1
	bound := w.behind
	for g := range others {
		if g != w.group {
			bound += k*m.weights[g]/m.weights[w.group] + 1
		}
	}
	return bound
}

func TestNobodyWaitsLongerThanTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			m      = newModel()
			groups []string
		)
		for i := range rapid.IntRange(1, 6).Draw(t, "groups") {
			g := fmt.Sprint("g", i)
			groups = append(groups, g)
			m.weights[g] = rapid.SampledFrom([]int{1, 1, 1, 2, 3, 7, 100}).Draw(t, "weight")
		}
		all := map[string]bool{}
		for _, g := range groups {
			all[g] = true
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m.now = m.now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "milliseconds")) * time.Millisecond)
			if rapid.Bool().Draw(t, "enter") {
				m.enter(rapid.SampledFrom(groups).Draw(t, "group"), rapid.IntRange(1, 40).Draw(t, "tasks"))
				continue
			}
			for range rapid.IntRange(1, 60).Draw(t, "claims") {
				w := m.claim()
				if w == nil {
					break
				}
				if bound := m.limit(w, all); w.before > bound {
					t.Fatalf("a task of %s (weight %d) with %d of its group before it waited for %d claims, more than %d; weights %v",
						w.group, m.weights[w.group], w.behind, w.before, bound, m.weights)
				}
			}
		}
	})
}

func TestGroupsShareByTheirWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			m     = newModel()
			total int
		)
		for i := range rapid.IntRange(2, 5).Draw(t, "groups") {
			g := fmt.Sprint("g", i)
			m.weights[g] = rapid.IntRange(1, 10).Draw(t, "weight")
			total += m.weights[g]
			m.now = m.now.Add(time.Second)
			m.enter(g, 1200)
			for range rapid.IntRange(0, 20).Draw(t, "claims before the next joins") {
				m.claim()
			}
		}
		const window = 200
		got := map[string]int{}
		for range window {
			got[m.claim().group]++
		}
		for g, weight := range m.weights {
			want := float64(window*weight) / float64(total)
			// A group is never more than its own turn and one round of everybody's off.
			if off := float64(got[g]) - want; off > float64(weight)+1 || off < -float64(weight)-1 {
				t.Fatalf("%s of weight %d got %d of %d claims, want %.1f; weights %v", g, weight, got[g], window, want, m.weights)
			}
		}
	})
}

func TestTurns(t *testing.T) {
	t.Run("tasks of groups that join while the front stands come in their order", func(t *testing.T) {
		m := newModel()
		for i := range 100 {
			m.weights[fmt.Sprint(i)] = 1
			m.enter(fmt.Sprint(i), 1)
		}
		for i := range 100 {
			if w := m.claim(); w.entered != i {
				t.Fatalf("claim %d got the one that entered as %d", i, w.entered)
			}
		}
	})
	t.Run("what lost its worker goes to the front", func(t *testing.T) {
		m := newModel()
		m.weights["a"] = 1
		m.enter("a", 10)
		m.claim()
		turns, hand := m.turns.Deal(m.now, []line.Want{{Share: in("a"), Front: true}, {Share: in("a")}})
		hand.Done(true)
		if turns[0] >= m.waiting[0].turn || turns[1] <= m.waiting[8].turn {
			t.Errorf("turns %v; waiting from %d to %d", turns, m.waiting[0].turn, m.waiting[8].turn)
		}
	})
	t.Run("turns of a transaction that failed are given again", func(t *testing.T) {
		m := newModel()
		m.weights["a"] = 1
		m.enter("a", 1)
		_, failed := m.turns.Deal(m.now, slices.Repeat([]line.Want{{Share: in("a")}}, 1000))
		failed.Done(false)
		m.now = m.now.Add(time.Millisecond)
		m.enter("a", 1)
		if gap := m.waiting[1].turn - m.waiting[0].turn; gap != line.Unit {
			t.Errorf("the next turn is %d later, want %d", gap, line.Unit)
		}
	})
	t.Run("a look does not take back what an open transaction holds", func(t *testing.T) {
		m := newModel()
		m.weights["a"] = 1
		m.look("a")
		open, hand := m.turns.Deal(m.now, slices.Repeat([]line.Want{{Share: in("a")}}, 5))
		m.now = m.now.Add(time.Second)
		m.enter("a", 1)
		hand.Done(true)
		if m.waiting[0].turn != open[4]+line.Unit {
			t.Errorf("turn %d after %v", m.waiting[0].turn, open)
		}
	})
	t.Run("a front that is too high comes down", func(t *testing.T) {
		m := newModel()
		m.weights["a"], m.weights["b"] = 1, 1
		m.look("a")
		m.turns.Served("q", []line.Place{{Priority: 1, Seq: line.FirstTurn + 1000*line.Unit}})
		m.waiting = []*waiting{{group: "b", turn: line.FirstTurn}} // another process began anew
		for range 5 {
			m.now = m.now.Add(line.TurnAge)
			m.look("a")
		}
		m.enter("a", 1)
		if last := m.waiting[1].turn; last >= line.FirstTurn+line.Unit {
			t.Errorf("joined %d turns behind the head", (last-line.FirstTurn)/line.Unit)
		}
	})
	t.Run("a group that adds a task whenever its last one was claimed gets no more than its share", func(t *testing.T) {
		m := newModel()
		m.weights["a"], m.weights["b"] = 1, 1
		m.enter("a", 100)
		m.enter("b", 1)
		got := 0
		for range 50 {
			m.now = m.now.Add(time.Second)
			if m.claim().group == "b" {
				got++
				m.enter("b", 1)
			}
		}
		if got > 25 {
			t.Errorf("it got %d of 50 claims", got)
		}
	})
	t.Run("a group to which others add is looked at sooner, and so is one that is new", func(t *testing.T) {
		m := newModel()
		m.weights["a"] = 1
		late := func(after time.Duration) bool {
			m.now = m.now.Add(after)
			return len(m.turns.Unknown(m.now, []line.Share{in("a")})) > 0
		}
		m.enter("a", 1)
		if late(9*time.Millisecond) || !late(time.Millisecond) {
			t.Error("a new group is not looked at after 10 ms")
		}
		for range 30 {
			m.now = m.now.Add(10 * time.Millisecond)
			m.enter("a", 1)
		}
		if m.look("a"); late(line.TurnAge-time.Millisecond) || !late(time.Millisecond) {
			t.Error("a group to which nobody else adds is not looked at after 100 ms")
		}
		m.waiting = append(m.waiting, &waiting{group: "a", turn: m.waiting[len(m.waiting)-1].turn + line.Unit}) // another process's
		if m.look("a"); late(9*time.Millisecond) || !late(time.Millisecond) {
			t.Error("a group to which others add is not looked at after 10 ms")
		}
	})
	t.Run("canceled tasks do not count", func(t *testing.T) {
		m := newModel()
		m.weights["a"], m.weights["b"] = 1, 1
		m.enter("b", 10)
		m.enter("a", 1000)
		m.waiting = slices.DeleteFunc(m.waiting, func(w *waiting) bool { return w.group == "a" })
		m.now = m.now.Add(time.Second)
		m.enter("a", 1)
		if last := m.waiting[len(m.waiting)-1]; last.group == "a" {
			t.Errorf("it came last, at %d", last.turn)
		}
	})
	t.Run("memory is bounded", func(t *testing.T) {
		var turns line.Turns
		now := time.Unix(1000, 0)
		for i := range 60_000 {
			s := line.Share{Line: line.Line{Queue: fmt.Sprint(i % 1000), Priority: 1}, Group: fmt.Sprint(i)}
			now = now.Add(5 * time.Millisecond)
			turns.Learn(now, []line.Found{{Share: s, Weight: 1}})
			_, hand := turns.Deal(now, []line.Want{{Share: s}})
			hand.Done(true)
		}
		if lines, shares := turns.Remembered(); lines > 1000 || shares > 40_000 {
			t.Errorf("%d lines, %d shares are remembered", lines, shares)
		}
	})
}
