// A PKCS#11 library that is the one in SHIM_MODULE, but for what SHIM_DOES says:
// what vendors' libraries do, and SoftHSM does not. With SHIM_PARAMS it is
// started as NSS starts its soft token.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pkcs11go.h" // of github.com/miekg/pkcs11

static CK_FUNCTION_LIST real, shim;

static int does(const char *what) {
	const char *s = getenv("SHIM_DOES");
	return s != NULL && strcmp(s, what) == 0;
}

static CK_RV initialize(CK_VOID_PTR args) {
	if (does("crash")) *(volatile int *)8 = 0;
	if (does("exit")) exit(0);
	if (does("look")) { // what a hostile library, or a crash, would find
		struct rlimit core;
		char c;
		if (prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0) return CKR_GENERAL_ERROR;
		if (getenv("CIPHERDECK_PASSPHRASE") != NULL || read(0, &c, 1) != 0) return CKR_GENERAL_ERROR;
	}
	if (does("hang")) {
		int fd = open(getenv("SHIM_FIFO"), O_WRONLY); // tells that it is here
		if (fd >= 0) close(fd);
		for (;;) pause();
	}
	if (does("print")) {
		printf("vendor library 1.0 says hello\n");
		fflush(stdout);
	}
	if (getenv("SHIM_PARAMS") != NULL) {
		struct {
			void *mutex[4];
			CK_FLAGS flags;
			char *params; // NSS has this before the reserved pointer
			void *reserved;
		} nss = {{0}, CKF_OS_LOCKING_OK, getenv("SHIM_PARAMS"), 0};
		return real.C_Initialize(&nss);
	}
	return real.C_Initialize(args);
}

static CK_RV login(CK_SESSION_HANDLE s, CK_USER_TYPE u, CK_UTF8CHAR_PTR pin, CK_ULONG n) {
	if (does("locked")) return CKR_PIN_LOCKED;
	if (does("crash at login")) abort();
	if (does("never login")) return CKR_FUNCTION_REJECTED;
	return real.C_Login(s, u, pin, n);
}

static CK_RV token(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
	CK_RV rv = real.C_GetTokenInfo(slot, info);
	if (does("flag locked")) info->flags |= CKF_USER_PIN_LOCKED;
	if (does("one try")) info->flags |= CKF_USER_PIN_FINAL_TRY;
	if (does("escapes")) memcpy(info->label, "\x1b]0;x\x07\xff", 7);
	return rv;
}

static CK_RV decrypt(CK_SESSION_HANDLE s, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR m) {
	CK_RV rv = real.C_Decrypt(s, in, n, out, m);
	if (does("wrong") && out != NULL && rv == CKR_OK) out[0] ^= 1;
	return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST_PTR p;
	void *lib = dlopen(getenv("SHIM_MODULE"), RTLD_NOW);
	if (lib == NULL || (get = (CK_C_GetFunctionList)dlsym(lib, "C_GetFunctionList")) == NULL || get(&p) != CKR_OK)
		return CKR_GENERAL_ERROR;
	real = shim = *p;
	shim.C_Initialize = initialize;
	shim.C_Login = login;
	shim.C_GetTokenInfo = token;
	shim.C_Decrypt = decrypt;
	*list = &shim;
	return CKR_OK;
}
