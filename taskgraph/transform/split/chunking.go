package split

import (
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/schema"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxChunks is how many parts a task may have.
const MaxChunks = 10_000

// Chunking returns the transform that makes numbered parts of a task.
func Chunking() transform.Transform {
	t := transform.New("taskgraph.transforms.chunking:transforms", transform.Check(ChunkShape()), chunk)
	t.Narrow = true
	return t
}

// ChunkShape is what the transform reads of an entry.
func ChunkShape() *schema.Object {
	return schema.Open(schema.Opt("chunk", schema.Strict(
		schema.Req("total-chunks", schema.Int()),
		schema.Opt("substitution-fields", schema.List(schema.String())),
	)))
}

func chunk(c *transform.Config, it *transform.Item, emit func(*transform.Item)) error {
	settings := it.Map("chunk")
	total, _ := settings["total-chunks"].(int64)
	if total > MaxChunks {
		return it.Errorf("chunk.total-chunks", "is more than %d", MaxChunks)
	}
	it.Delete("chunk")
	if len(settings) == 0 {
		emit(it)
		return nil
	}
	if err := c.Reserve(it, int(total)); err != nil {
		return err
	}
	fields, _ := value.Strings(settings["substitution-fields"])
	for n := int64(1); n <= total; n++ {
		part := it.Split()
		attributes := part.Own("attributes")
		attributes["this_chunk"], attributes["total_chunks"] = n, total
		names := value.NameMap{"this_chunk": n, "total_chunks": total}
		for _, field := range fields {
			if err := substituteKey(part, field, names); err != nil {
				return err
			}
		}
		part.Note(fmt.Sprintf("chunk %d of %d", n, total))
		emit(part)
	}
	return nil
}

// substituteKey formats a field and its name: the last part of the path may hold placeholders.
// The field as written stays when its name changes.
func substituteKey(it *transform.Item, field string, names value.Names) error {
	at := strings.LastIndexByte(field, '.') + 1
	key, err := value.Format(field[at:], names)
	if err != nil {
		return it.Errorf("chunk.substitution-fields", "%v", err)
	}
	if key == field[at:] {
		return Substitute(it, field, names)
	}
	v, ok := it.Lookup(field)
	if !ok {
		return it.Errorf(field, "is to be formatted, but the task has no such field")
	}
	n, err := value.Substitute(v, names)
	if err != nil {
		return it.Errorf(field, "%v", err)
	}
	it.SetPath(field[:at]+key, n)
	return it.Err()
}
