"""Lets nobody lock a repository that has a bundle laid over it."""
import errno

from mercurial import bundlerepo, error


def reposetup(ui, repo):
    if not isinstance(repo, bundlerepo.bundlerepository):
        return

    class unlocked(repo.__class__):
        def lock(self, *args, **kwargs):
            raise error.LockUnavailable(
                errno.EACCES, b'a try push changes nothing here', b'lock', b'repository'
            )

        wlock = lock

    repo.__class__ = unlocked
