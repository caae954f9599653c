package optimize

// References says what the references in a task stand for outside of an optimized graph, as when a task is
// run by itself.
type References struct {
	Self, Decision    string            // task ids; "" is not known
	Dependencies      map[string]string // edge name → task id
	RootURL, ProxyURL string
}

// Resolve gives v with its task-references and artifact-references resolved. One to an edge that is not among
// the dependencies is an error that names it.
func (r References) Resolve(v any) (any, error) {
	with := references{self: r.Self, decision: r.Decision, dependencies: r.Dependencies, root: r.RootURL, proxy: r.ProxyURL}
	return with.resolve(v)
}
