/* handlers.h — what answers each call; routes.c says which.
 *
 * A handler is called once with a call whose parameters and body are complete. It answers at once, or it asks the
 * backend and answers when that is done; see call.h. */
#ifndef SLUICE_ADMIN_HANDLERS_H
#define SLUICE_ADMIN_HANDLERS_H

struct call;

/* pages.c */
void page_livez(struct call *call);
void page_readyz(struct call *call);
void page_metrics(struct call *call);

/* api_quotas.c */
void api_quota_get(struct call *call);
void api_quota_put(struct call *call);
void api_quota_delete(struct call *call);

/* api_apply.c */
void api_quotas_apply(struct call *call);

/* api_list.c */
void api_quotas_list(struct call *call);
void api_shadow_list(struct call *call);

/* api_buckets.c */
void api_bucket_look(struct call *call);
void api_bucket_reset(struct call *call);

/* api_frontends.c */
void api_frontends_list(struct call *call);

/* api_hotkeys.c */
void api_hotkeys_list(struct call *call);

/* api_changes.c */
void api_changes_list(struct call *call);

#endif
