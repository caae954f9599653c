// Package engine says what an engine is: something that runs the commands of a task apart from everything
// else on the machine. The agent knows engines only by this; package enginetest holds each to it. A new
// engine is a folder with a type that implements Engine and a test that calls enginetest.Run.
package engine

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Engine makes sandboxes. It may be used by several goroutines.
type Engine interface {
	// Name is what the engine is, for people: "process", "Podman 4.3.1".
	Name() string
	// Images are the engine's images; nil for an engine that has none.
	Images() Images
	// Open makes the sandbox of a task. What an order asks and the engine does not have is an error of
	// kind fault.Invalid that names it.
	Open(ctx context.Context, o Order) (Sandbox, error)
	// Clear ends and removes what sandboxes of an agent that was killed left behind.
	Clear(ctx context.Context) error
	// Close gives back what the engine itself holds.
	Close() error
}

// Sandbox is where one task's commands run. Run and Shell may be called at the same time.
type Sandbox interface {
	// Work is the task's directory as the task sees it; "" where the image says it.
	Work() string
	// Gateway is the address by which the sandbox reaches the agent's machine.
	Gateway() string
	// Env is the bottom of the environment of commands, NAME=value.
	Env() []string
	// Run runs a command to its end. When ctx ends first the command is asked to end, and killed after
	// its grace time; Run returns only when it is gone. The error is nil whatever the exit status, and a
	// *StartError when there was no process to speak of.
	Run(ctx context.Context, c Command) (Exit, error)
	// Shell runs a command on a terminal, beside the others.
	Shell(ctx context.Context, c Command, t Terminal) (Exit, error)
	// Kill ends everything that runs in the sandbox and says how many processes commands had left behind.
	Kill(ctx context.Context) (left int, err error)
	// Collect brings what the task left at a place (a path as the task sees it) into the order's
	// directory, so that it is found there at the same path. A place that is not there is no error.
	Collect(ctx context.Context, place string) error
	// Usage is what the sandbox used until now.
	Usage() Usage
	// Close ends everything and removes the sandbox. The order's directories stay.
	Close(ctx context.Context) error
}

// Order says what sandbox a task needs.
type Order struct {
	ID     string // of the run; letters, digits, - _ and .
	Work   string // the task's directory on this machine, absolute
	Temp   string // its directory for temporary files
	User   *User  // owner of these; nil is the agent's own user
	Path   string // PATH of the commands, for an engine without images
	Limits Limits
	Grants Grants

	Image string // of the engine's images; "" for the engine's own choice
	Bare  bool   // the image's own directory and user are used, and Work is for Collect alone
	Keep  bool   // shells may be wanted between and after the commands
	Binds []Bind
	Files []File // put there before the first command
}

// File is something to put into a sandbox that has a file system of its own.
type File struct {
	Place   string // absolute
	Mode    int64
	Content []byte // or
	From    string // the file of this machine to take the content from
	Missing bool   // only if nothing is at the place
	Also    []File // put there when this one was
}

// Bind is a directory of the machine that the sandbox sees at a place of its own.
type Bind struct {
	Host, Place string
	ReadOnly    bool
}

// Limits are of one task with all its processes; zero values set no limit.
type Limits struct {
	Memory   int64   // bytes
	PIDs     int     // processes and threads
	CPUs     float64 // processors
	FileSize int64   // bytes of one file
	Files    int     // open at once, of one process
}

// Grants are what sandboxes do not give by themselves. Who may ask for them is decided before.
type Grants struct {
	Privileged   bool
	Ptrace       bool
	NoSeccomp    bool
	SharedMemory bool     // the machine's own
	Devices      []string // paths of the machine's devices
}

// Any says whether there is any.
func (g Grants) Any() bool {
	return g.Privileged || g.Ptrace || g.NoSeccomp || g.SharedMemory || len(g.Devices) > 0
}

// Command is what to run.
type Command struct {
	Argv   []string      // nil: the image's own
	Env    []string      // the whole environment, NAME=value; the last of a name counts
	Output io.Writer     // standard output and error, in the order of writing
	Grace  time.Duration // between asking to end and killing; 0: kill at once
}

// Terminal is where a command that talks to people reads and writes.
type Terminal struct {
	In     io.Reader
	Out    io.Writer
	Resize <-chan [2]uint // rows and columns, as they change; may be nil
}

// Exit says how a command ended.
type Exit struct {
	Code    int           // exit status; 128 + number after a signal, as a shell has it
	Signal  string        // name of the signal that ended it, "" for none
	Stopped bool          // it was stopped because the context ended
	CPU     time.Duration // user and system time, where the engine tells it of one command
}

// StartError says that a command could not be started at all: the program is missing, may not be
// executed, or the directory is gone. It is the task's fault, not the worker's.
type StartError struct {
	Program string
	Err     error
}

// Error names the program.
func (e *StartError) Error() string { return fmt.Sprintf("cannot start %s: %v", e.Program, e.Err) }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Usage is what a task used.
type Usage struct {
	CPU      time.Duration // of all its processes; 0 where it is not known
	Memory   int64         // the most at once, bytes; 0 where it is not known
	OOMKills int           // processes that were killed for want of memory
	Refused  int           // new processes that were refused because there were too many
}

// User is whom a command runs as.
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32
	// Alone says that the user is this task's for as long as it runs: whatever is theirs on the
	// machine is the task's.
	Alone bool
}

// Images are an engine's images. A name that is not there is fault.NotFound.
type Images interface {
	Find(ctx context.Context, name string) (Image, error)
	Pull(ctx context.Context, name string, progress func(string)) error
	// Load takes an archive as "docker save" makes it, a plain tar, and returns the names in it.
	Load(ctx context.Context, archive io.Reader) ([]string, error)
	Tag(ctx context.Context, image, name string) error
	Remove(ctx context.Context, name string) error
}

// Image is what an engine knows of an image.
type Image struct {
	ID      string
	Tags    []string
	Digests []string // name@sha256:... under which it was pulled
	Size    int64    // bytes
	Home    string   // HOME of its environment, or ""
	User    string   // whom its containers run as, "" is root
}
