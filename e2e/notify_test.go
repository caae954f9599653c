package e2e_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/chattest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/smtptest"
	"github.com/treeline-ci/treeline/task"
)

// TestNoNotificationIsLostWithAServer kills one of two servers, again and again, while they tell of tasks: everybody is
// told, twice only of what was on its way when a server died, and a room of Matrix never.
func TestNoNotificationIsLostWithAServer(t *testing.T) {
	const tasks, kills = 60, 4
	letters, rooms := smtptest.Start(t, smtptest.Options{}), chattest.StartMatrix(t)
	t.Setenv("TREELINE_SMTP_URL", fmt.Sprintf("smtp://%s:%d", letters.Host, letters.Port))
	t.Setenv("TREELINE_SMTP_CA", letters.CA)
	t.Setenv("TREELINE_MAIL_FROM", "Treeline <ci@example.com>")
	t.Setenv("TREELINE_MATRIX_URL", rooms.URL)
	t.Setenv("TREELINE_MATRIX_TOKEN", chattest.MatrixToken)
	pool := pgtest.Empty(t)
	u := &upgrade{T: t, pool: pool, data: t.TempDir(), url: pool.Config().ConnString()}
	stays := u.serve(program)
	dies := u.serve(program)

	// Mail takes its time, so that there is always some on its way.
	var arrived atomic.Int32
	letters.OnMail(func(smtptest.Mail) error { arrived.Add(1); <-time.After(250 * time.Millisecond); return nil })
	c := u.connect(stays).WithPatience(time.Minute)
	group := slug.New()
	for i := range tasks {
		n := newTask(group, fmt.Sprint("n", i), "true")
		definition := n.Task.(task.Definition)
		definition.Routes = []string{fmt.Sprintf("notify.email.u%d@example.com.on-defined", i), "notify.matrix-room." + chattest.Room + ".on-pending"}
		if _, err := c.CreateTask(t.Context(), n.TaskID, definition); err != nil {
			t.Fatal(err)
		}
		if i%(tasks/kills) == tasks/kills-1 {
			for int(arrived.Load()) < i+1-8 {
				select {
				case <-t.Context().Done():
				case <-time.After(time.Millisecond):
				}
			}
			_ = dies.cmd.Process.Kill() // it has mails on their way
			<-dies.exited
			dies = u.serve(program)
		}
	}
	deadline := time.After(3 * time.Minute)
	to := map[string]map[string]int{} // ids of mails, by address
	for len(to) < tasks {
		select {
		case <-deadline:
			t.Fatalf("%d of %d people were told", len(to), tasks)
		case <-time.After(100 * time.Millisecond):
		}
		clear(to)
		for _, m := range letters.Mails() {
			if to[m.To] == nil {
				to[m.To] = map[string]int{}
			}
			to[m.To][m.Header.Get("Message-Id")]++
		}
	}
	for u.scan(`SELECT count(*) FROM notify_outbox WHERE state = 'waiting'`) > 0 {
		select {
		case <-deadline:
			t.Fatal("some still wait")
		case <-time.After(100 * time.Millisecond):
		}
	}
	again := len(letters.Mails()) - tasks
	for address, ids := range to {
		if len(ids) != 1 {
			t.Errorf("%s got different mails of the same: %v", address, ids)
		}
	}
	if again > kills*4 {
		t.Errorf("%d mails came twice, though at most %d were on their way", again, kills*4)
	}
	events, _ := rooms.Events()
	if len(events) != tasks {
		t.Errorf("%d messages in the room, want %d", len(events), tasks)
	}
	if n := u.scan(`SELECT count(*) FROM notify_outbox WHERE state <> 'sent'`); n != 0 {
		t.Errorf("%d were not sent", n)
	}
	t.Logf("%d mails, %d of them again", len(letters.Mails()), again)
}
