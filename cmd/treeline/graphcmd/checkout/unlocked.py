"""Lets nobody lock the repository at unlocked.root, nor one with a bundle laid over it."""
import errno
import os

from mercurial import bundlerepo, error


def reposetup(ui, repo):
    if not repo.local():
        return
    root = ui.config(b'unlocked', b'root', b'')
    over = isinstance(repo, bundlerepo.bundlerepository)
    if not over and os.path.realpath(repo.root) != os.path.realpath(root):
        return

    class unlocked(repo.__class__):
        def lock(self, *args, **kwargs):
            raise error.LockUnavailable(
                errno.EACCES, b'nothing is to change here', b'lock', b'repository'
            )

        wlock = lock

    repo.__class__ = unlocked
