package bench

// figure is what the Taskcluster queue, release 106, did on a machine of the kind that Treeline is
// developed on (2 cores, 24 GB, database and load on the same machine, PostgreSQL 15, quiet disk), and
// what Treeline wants to reach there. On another machine both are other figures.
type figure struct {
	peer, reach float64 // per second; 0: there is none
}

// measure names a line of the report.
type measure struct {
	name        string
	connections int
}

// peerFigures are those of the queue, with a big group of 10,000.
var peerFigures = map[measure]figure{
	{"ping", 8}:                                    {1880, 20000},
	{"task status", 8}:                             {383, 8000},
	{"createTask", 1}:                              {112, 800},
	{"createTask", 8}:                              {224, 3000},
	{"createTask", 32}:                             {202, 4000},
	{"claimWork, 1 a call", 8}:                     {144, 2500},
	{"claimWork, 1 a call", 32}:                    {178, 3000},
	{"claimWork, 32 a call", 8}:                    {392, 8000},
	{"create, claim, complete", 1}:                 {30, 250},
	{"create, claim, complete", 8}:                 {58, 900},
	{"create, claim, complete", 32}:                {74, 1200},
	{"group of 10000 by single calls", 8}:          {164, 2500},
	{"group of 10000 in one batch", 1}:             {0, 6667},
	{"root completed, 9999 dependents pending", 1}: {157, 9999},
	{"listTaskGroup of 10000, pages of 1000", 1}:   {345, 10000},
}
