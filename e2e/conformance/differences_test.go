package conformance_test

const notYet = "it is being built"

// endpointDifferences are the places in which an endpoint is not the peer's, each with the reason.
var endpointDifferences = map[string]string{
	"auth.awsS3Credentials missing":         notYet,
	"auth.azureAccounts missing":            notYet,
	"auth.azureContainerSAS missing":        notYet,
	"auth.azureContainers missing":          notYet,
	"auth.azureTableSAS missing":            notYet,
	"auth.azureTables missing":              notYet,
	"auth.gcpCredentials missing":           notYet,
	"auth.githubRepoToken missing":          notYet,
	"auth.sentryDSN missing":                notYet,
	"auth.websocktunnelToken missing":       notYet,
	"queue.changeTaskGroupPriority missing": notYet,
	"queue.changeTaskPriority missing":      notYet,
	"queue.claimTask missing":               notYet,
	"queue.declareWorker missing":           notYet,
	"queue.getProvisioner missing":          notYet,
	"queue.getTaskQueue missing":            notYet,
	"queue.getWorker missing":               notYet,
	"queue.getWorkerType missing":           notYet,
	"queue.listClaimedTasks missing":        notYet,
	"queue.listPendingTasks missing":        notYet,
	"queue.listProvisioners missing":        notYet,
	"queue.listTaskQueues missing":          notYet,
	"queue.listWorkerTypes missing":         notYet,
	"queue.listWorkers missing":             notYet,
	"queue.quarantineWorker missing":        notYet,
}
