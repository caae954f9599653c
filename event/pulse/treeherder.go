package pulse

// Kinds of events that are messages for Treeherder (vcs-integration 3.1). They are published where
// Config.Treeherder asks for it.
const (
	TreeherderPush = "treeherder-push"
	TreeherderJob  = "treeherder-job"
)

// PushExchange is the exchange of pushes to repositories that are not at GitHub: the one where Treeherder
// expects them, in another namespace one of whose name Treeherder knows its kind.
func PushExchange(namespace string) string {
	if namespaceOr(namespace) == defaultNamespace {
		return "exchange/hgpushes/v1"
	}
	return "exchange/" + namespace + "/hgpushes/v1"
}

// treeherderRoutes lists where messages for Treeherder go. The key of a push is its repository, that of a
// job is destination and project.
func treeherderRoutes(namespace string) map[string]route {
	topic := []Field{{Name: "topic", Rest: true, Summary: "What the message is about."}}
	return map[string]route{
		TreeherderPush: {exchange: PushExchange(namespace), key: topic},
		TreeherderJob:  {exchange: prefix(namespaceOr(namespace), "treeherder") + "jobs", key: topic},
	}
}
