package seal

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cipherdeck/crypto/cbchmac"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/progress"
)

// Change is what a new header says about the recipients of a container.
type Change struct {
	Before, After []RecipientInfo

	// KeyKept is true when somebody may have lost his stanza. The file key is the same
	// as before, so who had opened the container once, or kept the old header,
	// can open the payload wherever he gets it. Only Reseal ends that.
	KeyKept bool
	// LockedOut is true when the identities that made the change can no longer
	// open the container.
	LockedOut bool
}

// AddRecipients gives more people the container at path, which ids open. The
// payload is not decrypted: a new header is written and the old payload is
// moved behind it by the file system (copy_file_range, shared extents where it
// can), then the whole takes the old one's name. Other hard links to the old
// file keep the old recipients.
//
// Who can open a container can change its recipients. Errors wrap ErrRecipients
// for one who is there already, for a passphrase beside others and for too
// many; ErrChanged when the file is not the same any more; and those of Open.
func AddRecipients(ctx context.Context, path string, ids []Identity, add []Recipient, o FileOptions) (Change, error) {
	return rewrite(ctx, path, ids, o, false, func(h *header, key FileKey) error {
		if len(add) == 0 {
			return fmt.Errorf("%w: there is nobody to add", ErrRecipients)
		}
		return h.address(key, add)
	})
}

// RemoveRecipients takes the stanzas away for which drop is true; i counts
// from 0 in the order of Inspect. It works as AddRecipients does. Change.KeyKept
// is then true: say so to the person, and offer Reseal. Errors wrap
// ErrRecipients when nobody or everybody would be removed.
func RemoveRecipients(ctx context.Context, path string, ids []Identity, drop func(i int, r RecipientInfo) bool, o FileOptions) (Change, error) {
	return rewrite(ctx, path, ids, o, true, func(h *header, _ FileKey) error {
		var keep []Stanza
		for i, s := range h.stanzas {
			if !drop(i, s.info()) {
				keep = append(keep, s)
			}
		}
		switch len(keep) {
		case 0:
			return fmt.Errorf("%w: nobody would be left; delete the file instead", ErrRecipients)
		case len(h.stanzas):
			return fmt.Errorf("%w: the one to remove is not among the %d", ErrRecipients, len(keep))
		}
		h.stanzas = keep
		return nil
	})
}

// ReplaceRecipients addresses the container to exactly to: another passphrase,
// or people instead of a passphrase. The file key stays, as with
// RemoveRecipients.
func ReplaceRecipients(ctx context.Context, path string, ids []Identity, to []Recipient, o FileOptions) (Change, error) {
	return rewrite(ctx, path, ids, o, true, func(h *header, key FileKey) error {
		if len(to) == 0 {
			return fmt.Errorf("%w: nobody would be left", ErrRecipients)
		}
		h.stanzas = nil
		return h.address(key, to)
	})
}

// Reseal encrypts the container at path anew, under a new file key and to
// exactly to. Facts and content stay. It takes as long as opening and sealing,
// and what others have copied of the old file is out of its reach.
func Reseal(ctx context.Context, path string, ids []Identity, to []Recipient, o FileOptions) (Change, error) {
	var c Change
	err := replace(path, func(src, dst *os.File) error {
		r, err := Open(src, ids...)
		if err != nil {
			return err
		}
		c.Before = r.Info.Recipients
		if err := sealFlags(ctx, dst, r, r.Meta, to, r.Info.Flags, o.Sink); err != nil {
			return err
		}
		return c.see(dst, ids)
	})
	if err != nil {
		return Change{}, fmt.Errorf("seal %s anew: %w", path, err)
	}
	return c, nil
}

// rewrite makes a new header by edit and moves the payload behind it.
func rewrite(ctx context.Context, path string, ids []Identity, o FileOptions, kept bool, edit func(*header, FileKey) error) (Change, error) {
	var c Change
	err := replace(path, func(src, dst *os.File) error {
		h, err := readHeader(src)
		if err != nil {
			return err
		}
		key, k, err := h.open(ids)
		if err != nil {
			return err
		}
		before := h.info().Recipients
		size, err := h.checkEnds(src, k)
		if err != nil {
			return err
		}
		if err := edit(h, key); err != nil {
			return err
		}
		if err := h.finish(k); err != nil {
			return err
		}
		if _, err := dst.Write(h.raw); err != nil {
			return err
		}
		if err := movePayload(ctx, dst, src, size, o.Sink); err != nil {
			return err
		}
		c.Before, c.KeyKept = before, kept
		return c.see(dst, ids)
	})
	if err != nil {
		return Change{}, fmt.Errorf("recipients of %s: %w", path, err)
	}
	return c, nil
}

// checkEnds checks commitment and last chunk of the payload, so that a damaged
// container is not passed on under a fresh header. src stays behind the header.
func (h *header) checkEnds(src *os.File, k fileKeys) (size int64, err error) {
	st, err := src.Stat()
	if err != nil {
		return 0, err
	}
	at := int64(len(h.raw))
	size = st.Size() - at
	if h.flags&flagCBC != 0 { // no random access: the beginning has to do
		_, err = cbchmac.NewReader(io.NewSectionReader(src, at, size), k.payload, h.payloadContext())
		return size, payloadError(err)
	}
	_, err = cobblestone.NewReaderAt(io.NewSectionReader(src, at, size), size, k.payload, h.payloadContext())
	return size, payloadError(err)
}

// moveStep is how much is moved between two looks at the context.
const moveStep = 64 << 20

// movePayload copies size bytes from where src stands. io.CopyN between two
// files is copy_file_range on Linux: the kernel copies, or shares the extents.
func movePayload(ctx context.Context, dst, src *os.File, size int64, sink progress.Sink) error {
	if sink == nil {
		sink = progress.Discard{}
	}
	sink.Phase("recipients", size, progress.Bytes)
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(dst, src, min(size, moveStep))
		sink.Add(n)
		if size -= n; err != nil {
			return truncated(err, "earlier than its length said; it changed meanwhile")
		}
	}
	return nil
}

// see reads the header that was just written back from dst, as others will.
func (c *Change) see(dst *os.File, ids []Identity) error {
	h, err := readHeader(io.NewSectionReader(dst, 0, headerMax))
	if err != nil {
		return err
	}
	c.After = h.info().Recipients
	_, _, err = h.open(ids)
	c.LockedOut = err != nil
	return nil
}

// replace makes a new file from the one at path and puts it in its place, with
// the old one's mode. A symbolic link stays, what it points to is replaced.
func replace(path string, write func(src, dst *os.File) error) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	src, st, err := openRegular(path)
	if err != nil {
		return err
	}
	defer src.Close()
	fill := func(dst *os.File) error {
		if err := write(src, dst); err != nil {
			return err
		}
		return dst.Chmod(st.Mode().Perm())
	}
	return writeTemp(path, fill, func(tmp string) error {
		now, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if !os.SameFile(now, st) || now.Size() != st.Size() || !now.ModTime().Equal(st.ModTime()) {
			return fmt.Errorf("%w: it was left as it is", ErrChanged)
		}
		src.Close() // Windows does not replace a file that is open
		return os.Rename(tmp, path)
	})
}
