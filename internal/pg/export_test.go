package pg

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
)

// PrivateStatements are all of the package, for the test that prepares them.
var PrivateStatements = []Statement{lockVersionsSQL, tableWaitSQL, versionTableExistsSQL, listVersionsSQL, findVersionSQL, addVersionSQL, deleteVersionSQL,
	aimUpSQL, onlineTableExistsSQL, bookmarkSQL, moveOnlineSQL, finishedSQL, aimSQL, dropOnlineSQL, listOnlineSQL, estimateSQL, indexStateSQL}

// UpgradeWith is Upgrade with version files of a test's own.
func UpgradeWith(ctx context.Context, pool *pgxpool.Pool, files fs.FS, to int, how ...How) error {
	return upgrade(ctx, pool, files, to, mannerOf(how))
}

// DowngradeWith is Downgrade with version files of a test's own.
func DowngradeWith(ctx context.Context, pool *pgxpool.Pool, files fs.FS, to int, how ...How) error {
	return downgrade(ctx, pool, files, to, mannerOf(how))
}

// VersionsWith is Versions with version files of a test's own.
func VersionsWith(ctx context.Context, pool *pgxpool.Pool, files fs.FS) ([]Version, error) {
	return versionsOf(ctx, pool, files)
}
