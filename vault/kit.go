package vault

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Kit is the emergency kit: a page of plain text to print and to put away. code
// is the recovery code; the page is given only if the code opens a slot of the
// vault as it is now, so no paper is printed that does not work. Errors wrap
// ErrCode, ErrNoSlot or ErrClosed.
func (v *Vault) Kit(code []byte) (string, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.key == nil {
		return "", ErrClosed
	}
	o, err := recovery(code).unlock(context.Background(), &file{id: v.id, slots: v.slots})
	if err != nil {
		return "", err
	}
	clear(o.key)
	clear(o.secret)
	var made time.Time
	for _, s := range v.slots {
		if s.name() == o.slot {
			made = s.info().Created
		}
	}
	values, err := parseCode(code)
	if err != nil {
		return "", err
	}
	defer clear(values)
	return v.page("EMERGENCY KIT", o.slot, made, fmt.Sprintf(`RECOVERY CODE

    %s

Letters or digits only; there is no O, I, L or U in it. Who has this code and
the vault file has everything in the vault. It works without the passphrase.
`, strings.ToUpper(strings.TrimSpace(string(code))))), nil
}

// page frames what opens a slot with which vault it belongs to and what to do.
func (v *Vault) page(title, slot string, made time.Time, middle string) string {
	return fmt.Sprintf(`CIPHERDECK %s

Owner        %s
Vault        %x
Slot         %s, made %s (UTC)
File         %s

%s
HOW TO USE IT
1. Get the vault file, or any copy of it. This page does not replace the file:
   keep a copy of it elsewhere too.
2. Put it at the path above and run: cipherdeck vault recover
   It asks for what is on this page, and for a new passphrase.
3. Make a new page (cipherdeck vault recovery, or vault shares) and destroy
   this one.

Passphrase (if you choose to write it here): ______________________________
Tested on: ____________   Kept at: ______________________________
`, title, v.state.Account.Name, v.id, slot, made.UTC().Format(time.DateOnly), v.path, middle)
}
