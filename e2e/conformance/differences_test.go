package conformance_test

// endpointDifferences are the places in which an endpoint is not the peer's, each with the reason.
var endpointDifferences = map[string]string{
	"auth.resetAccessToken query":            "our addition: the old token may hold for hours more, so that a token is changed while things use it",
	"queue.changeTaskGroupPriority category": "a slip of theirs: the heading of the other methods of task groups is Task Groups",
}

// schemaDifferences are the places in which a schema of ours takes what the peer's refuses, or the
// other way round, each with the reason.
var schemaDifferences = map[string]string{
	"object/v1/create-upload-request /proposedUploadMethods/append": "our addition: a way to upload content that can be read while it grows",
	"object/v1/create-upload-request /proposedUploadMethods/parts":  "our addition: a way to upload large content in parts, of which only those that failed are sent again",
	"queue/v1/artifact-response /contentSha256":                     "our addition: the sha256 that the object service has checked",
	"queue/v1/list-artifacts-response /artifacts/0/contentSha256":   "our addition: the sha256 that the object service has checked",
	"queue/v1/claim-work-request /tasks":                            "the peer fills in the default of 1 before it validates, so it takes such a request too",
	"queue/v1/pending-tasks-response /taskQueueId":                  anyQueue,
	"queue/v1/pending-tasks-response /workerType":                   anyQueue,
	"queue/v1/task-queue-counts-response /taskQueueId":              anyQueue,
	"queue/v1/task-queue-counts-response /workerType":               anyQueue,
	"queue/v1/list-taskqueues-response /taskQueues/0/taskQueueId":   anyQueue,
	"queue/v1/list-workertypes-response /workerTypes/0/taskQueueId": anyQueue,
	"queue/v1/list-workertypes-response /workerTypes/0/workerType":  anyQueue,
	"queue/v1/taskqueue-response /taskQueueId":                      anyQueue,
	"queue/v1/worker-response /taskQueueId":                         anyQueue,
	"queue/v1/worker-response /workerType":                          anyQueue,
	"queue/v1/workertype-response /taskQueueId":                     anyQueue,
	"queue/v1/workertype-response /workerType":                      anyQueue,
}

const anyQueue = "the route takes names of task queues that no task can have; the peer answers 500 to them, we do not"
