// Package provider is what worker-manager asks of those who make workers: clouds, a container daemon, this
// machine, or an operator who sets them up by hand.
//
// A type of provider lives in a folder of its own and knows nothing of pools, of the database, or of how many
// workers are wanted: it launches one, looks after some, stops one, and tells whether who says so is one.
// Package providertest holds what each must do.
package provider

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Provider is a place where workers come from. Methods are called concurrently.
type Provider interface {
	// Type is the name of the kind of provider, as in the schema of its configs.
	Type() string
	// Check finds in a pool's config what the schema cannot: a fault.BadInput that names it.
	Check(config json.RawMessage) error
	// Verify holds what a worker shows against the instance it says it is. Any error means that it is not
	// proven; the worker is not told why, the log is.
	Verify(ctx context.Context, i Instance, p Proof) error
}

// Scaler is a Provider that makes workers.
type Scaler interface {
	Provider
	// Launch asks for a worker. With the same key it is the same worker: who calls again, because the answer
	// was lost, gets what the first call made. An error that is ErrRefused means that nothing was made and
	// that the same again would be refused too; after any other, something may have been made.
	Launch(ctx context.Context, l Launch) (Instance, error)
	// Look tells how instances are, in their order. One that it knows nothing of is Gone.
	Look(ctx context.Context, list []Instance) ([]Health, error)
	// Stop begins the end of an instance. It can be called again, and when the instance is gone.
	Stop(ctx context.Context, i Instance) error
	// List finds what exists of Launch's making, in the places that the launch configs name: so that what
	// nobody knows any more can be stopped.
	List(ctx context.Context, configs []json.RawMessage) ([]Found, error)
}

// ErrRefused is wrapped by errors of Launch that trying again does not help.
var ErrRefused = errors.New("the provider refuses")

// Instance is a worker as its provider knows it.
type Instance struct {
	Group string          `json:"group"` // worker group; of clouds the region, zone or location
	ID    string          `json:"id"`    // worker id
	Key   string          `json:"key"`   // of the launch that made it; "" when none did
	Data  json.RawMessage `json:"data"`  // what the provider wants to remember; holds no secrets in the clear
}

// Launch is a worker to be made.
type Launch struct {
	Key          string // unique and unguessable: 22 characters of letters, digits, - and _
	WorkerPoolID string
	ProviderID   string
	ConfigID     string          // launch config
	Config       json.RawMessage // the launch config as it stands in the pool's config
	Owner        string          // e-mail address of the pool's owner, for tags
	RootURL      string          // where workers reach the server
	Capacity     int             // tasks at once
}

// Proof is what somebody shows who says that they are a worker.
type Proof struct {
	WorkerPoolID string
	RootURL      string
	Content      json.RawMessage // workerIdentityProof
}

// Health is what becomes of an instance.
type Health int

// How instances can be.
const (
	Gone     Health = iota // it does not exist, or has ended for good
	Starting               // it was asked for, and does not run yet
	Running
	Stopping // it is ending
)

// Found is an instance that List found.
type Found struct {
	Instance
	Created time.Time // zero when the provider does not know
}

// Settings are the part of a launch config that is alike for all types of providers.
type Settings struct {
	WorkerManager struct {
		LaunchConfigID      string   `json:"launchConfigId"`
		CapacityPerInstance int      `json:"capacityPerInstance"`
		InitialWeight       *float64 `json:"initialWeight"`
		MaxCapacity         *int     `json:"maxCapacity"`
	} `json:"workerManager"`
	CapacityPerInstance int             `json:"capacityPerInstance"` // older place
	WorkerConfig        json.RawMessage `json:"workerConfig"`
}

// Registration is what a launched worker needs to register: the content of the file that
// `treeline worker run --register` reads.
type Registration struct {
	RootURL      string          `json:"rootUrl"`
	ProviderID   string          `json:"providerId"`
	WorkerPoolID string          `json:"workerPoolId"`
	WorkerGroup  string          `json:"workerGroup"`
	WorkerID     string          `json:"workerId"`
	Proof        json.RawMessage `json:"workerIdentityProof"`
}
