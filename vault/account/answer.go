package account

import (
	"crypto"
	"crypto/hpke"
	"errors"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
)

// AnswerType is the document type of what one device of a person hands to
// another.
const AnswerType = "account/answer"

// MaxAnswer bounds the signed form of an answer, in bytes.
const MaxAnswer = 16 << 20

// The errors of answers.
var (
	ErrAnswer = errors.New("the answer is not one for this device")
	ErrStale  = errors.New("the answer brings nothing that this device does not have")
)

// answer is the signed body. The device that gives it signs with both of its
// keys; what it gives is sealed to the X-Wing key of the device that gets it,
// and to nothing else of the account: who has the account's keys alone must not
// read it.
type answer struct {
	V      uint8     `cbor:"1,keyasint"`
	UID    chain.UID `cbor:"2,keyasint"`
	To     doc.KeyID `cbor:"3,keyasint"`
	By     doc.KeyID `cbor:"4,keyasint"`
	Sealed []byte    `cbor:"5,keyasint"` // a vault.State, by HPKE
}

// context binds what is sealed to who gives it to whom.
func (a answer) context() []byte {
	return doc.LP([]byte("cipherdeck/account/answer/v1"), a.UID[:], a.To[:], a.By[:])
}

// Answer seals st, of which my account is completed here, to device to of my
// account. The device seed in st goes nowhere.
func (m *Me) Answer(to doc.KeyID, st vault.State) ([]byte, error) {
	d, ok := m.Account.Valid(to)
	if !ok {
		return nil, fmt.Errorf("%w: %s is not a valid device of the account", ErrAnswer, to)
	}
	by, err := m.Key().ID()
	if err != nil {
		return nil, err
	}
	a := answer{V: 1, UID: m.Account.UID, To: to, By: by}
	if st.Account, err = m.hand(st.Account); err != nil {
		return nil, err
	}
	plain, err := doc.Encode(st)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	kem, err := keys.Public{XWing: d.XWing}.KEM()
	if err != nil {
		return nil, err
	}
	if a.Sealed, err = hpke.Seal(kem, hpke.HKDFSHA256(), hpke.AES256GCM(), a.context(), plain); err != nil {
		return nil, err
	}
	return doc.Sign(AnswerType, a, m.signers()...)
}

func (m *Me) signers() []crypto.Signer {
	if m.PQ == nil {
		return []crypto.Signer{m.Device}
	}
	return []crypto.Signer{m.Device, m.PQ}
}

// hand is the account as another device gets it: without this device's seed,
// and with the X-Wing keys written out, since this device's own may be one.
func (m *Me) hand(a vault.Account) (vault.Account, error) {
	a.Device = [32]byte{}
	a.Former = nil
	_, x, err := m.Pair.Marshal()
	if err != nil {
		return a, err
	}
	a.XWing = x
	for _, p := range m.Former {
		r, x, err := p.Marshal()
		if err != nil {
			return a, err
		}
		a.Former = append(a.Former, vault.FormerKeys{RSA: r, XWing: x})
	}
	return a, nil
}

// Finish opens an answer for the device of mine and gives what is in it, with
// the device put back: a full vault's state for a device that waited, and newer
// keys for one that did not. The checks, in order: that it is for this account
// and this device, that it opens, that the account in it is the one asked for,
// has this device with these keys, and, where this device knows the account
// already, goes on from there; then who signed it, who must be a valid device of
// that account. Errors wrap ErrAnswer, ErrStale, ErrRevoked or chain.ErrAccount.
func Finish(mine vault.Account, raw []byte) (vault.State, error) {
	o := opening{mine: mine}
	if err := o.prepare(); err != nil {
		return vault.State{}, err
	}
	s, _, err := doc.Open(raw, AnswerType, MaxAnswer, o.key)
	if err == nil && len(s.Sigs) != len(o.signers) {
		err = doc.ErrUnsigned
	}
	if err != nil {
		return vault.State{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if o.known != nil {
		switch {
		case chain.Continues(o.account, o.known): // the same, or from before
			return vault.State{}, ErrStale
		case !chain.Continues(o.known, o.account):
			return vault.State{}, fmt.Errorf("%w: %w: its account does not go on from the one here", ErrAnswer, chain.ErrAccount)
		}
	}
	o.state.Account.Device = mine.Device
	_, err = Load(o.state.Account)
	return o.state, err
}

// opening is an answer on its way to being believed.
type opening struct {
	mine  vault.Account
	dev   device
	id    doc.KeyID
	uid   chain.UID
	known *chain.Account // nil while this device waits

	state   vault.State
	account *chain.Account
	signers []crypto.PublicKey
}

func (o *opening) prepare() (err error) {
	if o.dev, err = deviceKeys(o.mine.Device); err != nil {
		return err
	}
	if o.id, err = doc.KeyIDOf(o.dev.sign.Public()); err != nil {
		return err
	}
	if len(o.mine.Genesis) == 0 {
		_, _, o.uid, err = Asking(o.mine)
		return err
	}
	if o.known, err = chain.OpenAccountChain(o.mine.Genesis, o.mine.Links); err == nil {
		o.uid = o.known.UID
	}
	return err
}

// key finds the keys of the device that signed; they are in what it sealed.
func (o *opening) key(k doc.KeyID, body []byte) (crypto.PublicKey, error) {
	if o.account == nil {
		if err := o.open(body); err != nil {
			return nil, err
		}
	}
	return doc.Keys(o.signers...)(k, nil)
}

func (o *opening) open(body []byte) error {
	var a answer
	if err := doc.Decode(body, &a); err != nil {
		return err
	}
	switch {
	case a.V != 1:
		return fmt.Errorf("version %d, want 1", a.V)
	case a.UID != o.uid:
		return fmt.Errorf("it is of account %s, this device asked for %s", a.UID, o.uid)
	case a.To != o.id:
		return fmt.Errorf("it is for device %s, this one is %s", a.To, o.id)
	}
	plain, err := hpke.Open(o.dev.kem, hpke.HKDFSHA256(), hpke.AES256GCM(), a.context(), a.Sealed)
	if err != nil {
		return fmt.Errorf("it does not open with this device's key")
	}
	defer clear(plain)
	if err := doc.Decode(plain, &o.state); err != nil {
		return err
	}
	acc, err := chain.OpenAccountChain(o.state.Account.Genesis, o.state.Account.Links)
	if err != nil {
		return err
	}
	if acc.UID != o.uid {
		return fmt.Errorf("the account in it is %s, this device asked for %s", acc.UID, o.uid)
	}
	if err := o.dev.match(acc); err != nil {
		return err
	}
	by, ok := acc.Valid(a.By)
	if !ok {
		return fmt.Errorf("device %s, which gave it, is not a valid one of the account", a.By)
	}
	o.account, o.signers = acc, by.All()
	return nil
}
