use tollgate_domain::{CallId, UnixMillis};

use crate::call::{Call, Received, Request};
use crate::denial::Denial;
use crate::ports::{Catalog, Ports};
use crate::station::Refusal;

impl Call<Received> {
    /// Reads a call in: it gets its id, and its tool must be one that a server lists, as somebody approved it. Before
    /// anything else: a tool that nobody may call has no price either.
    pub(crate) fn receive<P: Ports>(request: Request, ports: &P, now: UnixMillis) -> Result<Self, Refusal> {
        let random = ports.random().map_err(Refusal::faulted)?;
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, ..] = random;
        let id = CallId::new(now, [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9]);
        let denial = match ports.catalog().tool(&request.tool) {
            None => Denial::UnknownTool(request.tool.clone()),
            Some(listed) => match listed.withheld {
                None => {
                    return Ok(Self {
                        id,
                        received: now,
                        request: Box::new(request),
                        listed,
                        stage: Received(()),
                    });
                }
                Some(why) => Denial::ToolNotApproved { tool: request.tool.clone(), why },
            },
        };
        Err(Refusal { call: Some(id), tool: Some(request.tool), verdict: Box::new(denial.into()) })
    }
}
