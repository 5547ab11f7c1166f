package app

import (
	"context"
	"os"
	"path/filepath"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project"
	"cipherdeck/vault/sealedlog"
)

// keptKeys gives items the keys that they are encrypted under anew, and keeps
// them beside the vault until all is done.
type keptKeys struct {
	log  *sealedlog.Log
	have map[project.ItemID]keptKey
}

type keptKey struct {
	Item  project.ItemID `cbor:"1,keyasint"`
	Epoch uint32         `cbor:"2,keyasint"`
	Key   []byte         `cbor:"3,keyasint"`
}

// Key is the key of item i in this epoch: the one it got before, or a new one.
func (k keptKeys) Key(i project.ItemID, epoch uint32) (key [32]byte, again bool, err error) {
	if old, ok := k.have[i]; ok && old.Epoch == epoch && len(old.Key) == 32 {
		return [32]byte(old.Key), true, nil
	}
	key, _, err = project.ForgetfulKeys{}.Key(i, epoch)
	if err != nil {
		return key, false, err
	}
	raw, err := doc.Encode(keptKey{i, epoch, key[:]})
	if err != nil {
		return key, false, err
	}
	return key, false, k.log.Append(raw)
}

// Reencrypt encrypts anew what lies under old epochs of p, or with metadata
// only what is said about it. It can be cut short and called again.
func (a *App) Reencrypt(ctx context.Context, p *project.Project, metadata bool, sink progress.Sink) (int, error) {
	if metadata {
		n, err := p.ReencryptMetadata(ctx, sink)
		if err != nil {
			return n, err
		}
		return n, a.noteHead(p)
	}
	u, err := a.unsent(p.ID())
	if err != nil {
		return 0, err
	}
	unlock, err := u.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	path, pid := filepath.Join(u.dir, "reencrypt"), p.ID()
	log, all, err := sealedlog.Open(path, u.key, doc.LP(pid[:], []byte("reencrypt")))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	keys := keptKeys{log, map[project.ItemID]keptKey{}}
	for _, raw := range all {
		var k keptKey
		if err := doc.Decode(raw, &k); err != nil {
			return 0, err
		}
		keys.have[k.Item] = k
	}
	n, err := p.Reencrypt(ctx, keys, sink)
	if err != nil {
		return n, err
	}
	if err := os.Remove(path); err != nil {
		return n, err
	}
	return n, a.noteHead(p)
}
