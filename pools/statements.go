package pools

import "github.com/treeline-ci/treeline/internal/pg"

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{
		insertPoolSQL, lockPoolSQL, updatePoolSQL, getPoolSQL, listPoolsSQL, dropPoolsSQL, trimProvidersSQL, turnSQL, planSQL, nowSQL,
		configsSQL, insertConfigSQL, updateConfigSQL, archiveConfigSQL, listConfigsSQL, configStatsSQL, oneConfigSQL, providerConfigsSQL,
		listPoolWorkersSQL, briefsSQL, getWorkerSQL, lockWorkerSQL, insertWorkerSQL, updateWorkerSQL, poolWorkersSQL,
		registeredSQL, reregisteredSQL, standingSQL, verdictsSQL, launchedWorkerSQL,
		insertLaunchesSQL, claimLaunchesSQL, launchFailedSQL, lockLaunchSQL, dropLaunchSQL, providerOKSQL, providerFailedSQL, providerReadySQL,
		claimChecksSQL, stopSQL, goneSQL, forgetSQL, knownSQL, claimReapSQL,
		pricesSQL, standingsSQL, troubleSQL, workerErrorsSQL, errorsSinceSQL, figuresSQL,
		insertErrorSQL, listErrorsSQL, errorCountsSQL, recentErrorsSQL, errorTimesSQL, mailedErrorSQL, expireErrorsSQL, expireWorkersSQL, dropStaleLaunchesSQL,
	}
}
