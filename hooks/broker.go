package hooks

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Queue is the queue of a hook on a broker, and what it is bound to.
type Queue struct {
	Group, ID string
	Bindings  []Binding
}

// Delivery is a message that a broker brought for a hook.
type Delivery struct {
	Group, ID     string
	Exchange, Key string
	MessageID     string // "" when the publisher gave none
	Body          []byte
}

// Session is a connection to a broker.
type Session interface {
	// Bind makes a hook's queue, if it is not there, and binds or unbinds it.
	Bind(ctx context.Context, group, id string, bind, unbind []Binding) error
	// Remove removes a hook's queue; one that is not there is removed already.
	Remove(ctx context.Context, group, id string) error
	// Listen takes the messages of these queues and of no others, from now on.
	Listen(ctx context.Context, queues []Queue) error
}

// Broker brings messages of exchanges that are not our own.
type Broker interface {
	// Run connects, again and again, until ctx ends. keep is called with each connection, and has it until
	// it returns. take gets the messages; those for which it fails come again.
	Run(ctx context.Context, keep func(ctx context.Context, s Session) error, take func(ctx context.Context, d Delivery) error) error
}

// listenBroker takes messages of other people's exchanges.
func (h *Hooks) listenBroker(ctx context.Context) {
	err := h.Broker.Run(ctx, h.keepBindings, h.takeDelivery)
	if err != nil && ctx.Err() == nil {
		h.Log.ErrorContext(ctx, "hooks get no messages from the broker any more", "err", err)
	}
}

// keepBindings makes queues and bindings on the broker what the hooks say, as often as those change.
func (h *Hooks) keepBindings(ctx context.Context, s Session) error {
	const look, again = time.Second, 30 * time.Second
	version, tried, whole := int64(-1), time.Time{}, true
	for wait := time.Duration(0); ; wait = look {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		var now int64
		if err := h.Pool.QueryRow(ctx, versionSQL.Text).Scan(&now); err != nil {
			return failed("version of bindings", err)
		}
		if now == version && (whole || time.Since(tried) < again) { // an exchange that is not there yet may come
			continue
		}
		queues, all, err := h.reconcile(ctx, s)
		if err != nil {
			return err
		}
		if err := s.Listen(ctx, queues); err != nil {
			return err
		}
		version, tried, whole = now, time.Now(), all
	}
}

// reconcile makes the broker's queues what the hooks say; whole is false when some binding failed. Of
// several replicas one does it at a time.
func (h *Hooks) reconcile(ctx context.Context, s Session) (queues []Queue, whole bool, err error) {
	whole = true
	err = pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		queues, whole = nil, true
		if _, err := tx.Exec(ctx, lockQueuesSQL.Text); err != nil {
			return err
		}
		wanted, err := h.foreign(ctx, tx)
		if err != nil {
			return err
		}
		there, err := storedQueues(ctx, tx)
		if err != nil {
			return err
		}
		for _, q := range there {
			i := slices.IndexFunc(wanted, func(w Queue) bool { return w.Group == q.Group && w.ID == q.ID })
			if i >= 0 {
				continue
			}
			if err := s.Remove(ctx, q.Group, q.ID); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, deleteQueueSQL.Text, q.Group, q.ID); err != nil {
				return err
			}
		}
		for _, w := range wanted {
			good, err := h.bind(ctx, tx, s, w, there)
			if err != nil {
				return err
			}
			whole = whole && good
		}
		queues = wanted
		return nil
	})
	return queues, whole, failed("bind queues", err)
}

// bind binds a hook's queue. What the broker refuses is told on the hook's page.
func (h *Hooks) bind(ctx context.Context, tx pgx.Tx, s Session, w Queue, there []Queue) (bool, error) {
	var old []Binding
	if i := slices.IndexFunc(there, func(q Queue) bool { return w.Group == q.Group && w.ID == q.ID }); i >= 0 {
		old = there[i].Bindings
	}
	lost := slices.DeleteFunc(slices.Clone(old), func(b Binding) bool { return slices.Contains(w.Bindings, b) })
	err := s.Bind(ctx, w.Group, w.ID, w.Bindings, lost)
	if err != nil && !errors.Is(err, fault.Invalid) {
		return false, err
	}
	if err != nil {
		h.Log.WarnContext(ctx, "a hook cannot be bound", "hook", w.Group+"/"+w.ID, "err", err)
	}
	if _, dbErr := tx.Exec(ctx, bindingErrorSQL.Text, w.Group, w.ID, explained(err)); dbErr != nil {
		return false, dbErr
	}
	list, jsonErr := json.Marshal(w.Bindings)
	if jsonErr != nil {
		return false, jsonErr
	}
	_, dbErr := tx.Exec(ctx, setQueueSQL.Text, w.Group, w.ID, string(list))
	return err == nil, dbErr
}

// foreign lists the hooks that listen to exchanges of others, with those bindings.
func (h *Hooks) foreign(ctx context.Context, tx pgx.Tx) ([]Queue, error) {
	all, err := h.current(ctx, tx, bindings{version: -1})
	if err != nil {
		return nil, err
	}
	byHook := map[[2]string][]Binding{}
	for exchange, list := range all.byExchange {
		if h.Own != nil && h.Own(exchange) {
			continue
		}
		for _, b := range list {
			key := [2]string{b.group, b.id}
			byHook[key] = append(byHook[key], Binding{exchange, b.pattern})
		}
	}
	var queues []Queue
	for key, list := range byHook {
		queues = append(queues, Queue{key[0], key[1], list})
	}
	slices.SortFunc(queues, func(a, b Queue) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.ID, b.ID))
	})
	return queues, nil
}

func storedQueues(ctx context.Context, tx pgx.Tx) ([]Queue, error) {
	rows, err := tx.Query(ctx, queuesSQL.Text)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (Queue, error) {
		var q Queue
		var list []byte
		if err := r.Scan(&q.Group, &q.ID, &list); err != nil {
			return q, err
		}
		return q, json.Unmarshal(list, &q.Bindings)
	})
}

// takeDelivery stores a message that the broker brought. One that is no JSON is dropped.
func (h *Hooks) takeDelivery(ctx context.Context, d Delivery) error {
	if !json.Valid(d.Body) {
		h.Log.WarnContext(ctx, "hook-pulse-message-discarded", "hook", d.Group+"/"+d.ID, "exchange", d.Exchange, "routingKey", d.Key, "reason", "the message is no JSON")
		return nil
	}
	m := incoming{d.Group, d.ID, deliveryID(d), d.Exchange, d.Key, d.Body}
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error { return h.put(ctx, tx, []incoming{m}) })
	return failed("keep a message", err)
}

// deliveryID tells a message from others, as well as its publisher lets it.
func deliveryID(d Delivery) string {
	sum := sha256.New()
	for _, part := range []string{d.MessageID, d.Exchange, d.Key, string(d.Body)} {
		sum.Write([]byte(part))
		sum.Write([]byte{0})
	}
	if d.MessageID == "" {
		sum.Write([]byte(slug.New()))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

var (
	lockQueuesSQL = pg.Statement{Name: "hooks.lock_queues", Text: `SELECT pg_advisory_xact_lock(hashtext('hooks: bindings on the broker'))`}
	queuesSQL     = pg.Statement{Name: "hooks.queues", Text: `SELECT hook_group_id, hook_id, bindings FROM hook_queues ORDER BY 1, 2`}
	setQueueSQL   = pg.Statement{Name: "hooks.set_queue", Text: `
INSERT INTO hook_queues (hook_group_id, hook_id, bindings) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (hook_group_id, hook_id) DO UPDATE SET bindings = excluded.bindings`}
	deleteQueueSQL  = pg.Statement{Name: "hooks.delete_queue", Text: `DELETE FROM hook_queues WHERE hook_group_id = $1 AND hook_id = $2`}
	bindingErrorSQL = pg.Statement{Name: "hooks.binding_error", Text: `
UPDATE hook_definitions SET binding_error = $3 WHERE hook_group_id = $1 AND hook_id = $2 AND binding_error <> $3`}
)
